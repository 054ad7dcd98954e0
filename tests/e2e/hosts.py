"""Two hosts for tests: this machine's own network and a network namespace, joined by one cable."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.harness import PATIENCE, ROOT
from tests.postgresql import PostgreSQL
from tests.rabbitmq import RabbitMQ
from tests.services import ADDRESSES, free_ports
from tests.valkey import start_valkey

MAKE_ANN = "from django.contrib.auth.models import User; User.objects.create_user('ann')"
SECRET = "only for this test, and long enough to be one"


class Host:
    """A machine: its address, its own folder, and the processes that it runs.

    Attributes:
        token: What lets ann in, on either host.

    Args:
        address: Its own.
        enter: What has to stand before a command that is to run there.
        environment: The settings of all its processes.
    """

    def __init__(self, address: str, enter: Sequence[str], environment: dict[str, str]) -> None:
        self.address = address
        self.folder = Path(tempfile.mkdtemp(prefix="qe-host-", dir="/tmp"))
        self._enter = list(enter)
        self._environment = {
            **{k: v for k, v in os.environ.items() if k not in ADDRESSES},
            **environment,
            "HOST": address,
            "DATA_DIR": str(self.folder),
            "ALLOWED_HOSTS": address,
            "SECRET_KEY": SECRET,
            "LOCAL_MODE": "false",
            "SECURE": "false",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.token = ""
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def manage(self, *words: str) -> str:
        """Run a management command to its end and return what it printed."""
        done = subprocess.run(
            [*self._enter, sys.executable, "manage.py", *words],
            cwd=ROOT,
            # A whole market at once may take a busy machine longer than one request may.
            env={**self._environment, "DATABASE_TIMEOUT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, name: str, *words: str) -> None:
        """Start a management command that stays; its output goes to :meth:`log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "TERM"),
                    *(*self._enter, sys.executable, "manage.py", *words),
                ],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wrote(self, name: str, words: str) -> bool:
        """Whether a process has written some words."""
        return words in self.log(name)

    def stop(self, name: str) -> None:
        """End a process in order and wait for it."""
        process = self.running.pop(name)
        process.terminate()
        process.wait()

    def close(self) -> None:
        """End what runs and remove the folder."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait()
        shutil.rmtree(self.folder)


def live_workers(host: Host, port: int) -> int:
    """Worker processes of the convex lane, as a host's web process sees them."""
    wanted = urllib.request.Request(
        f"http://{host.address}:{port}/metrics", headers={"Authorization": f"Bearer {host.token}"}
    )
    with urllib.request.urlopen(wanted, timeout=PATIENCE) as response:
        text = response.read().decode()
    found = re.search(r'^quantumedge_worker_processes\{lane="convex"\} (\d+)', text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def cable() -> Iterator[tuple[str, str, str]]:
    """A namespace joined to this network: its name, this end's address and the far end's."""
    number = os.getpid() % 65_536
    name, near, far = f"qe{number}", f"qe{number}a", f"qe{number}b"
    net = f"10.{200 + number // 8192}.{number // 32 % 256}"
    base = number % 32 * 8
    here, there = f"{net}.{base + 1}", f"{net}.{base + 2}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("address", "add", f"{here}/29", "dev", near)
        _ip("link", "set", near, "up")
        _ip("-n", name, "address", "add", f"{there}/29", "dev", far)
        _ip("-n", name, "link", "set", far, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield name, here, there
    finally:
        # The cable goes with it.
        _ip("netns", "delete", name)


@contextmanager
def two_hosts(**environment: str) -> Iterator[tuple[Host, Host]]:
    """Two hosts, and on the first the PostgreSQL, Redis and RabbitMQ that both use by URL."""
    with ExitStack() as stack:
        name, here, there = stack.enter_context(cable())
        ports = free_ports(5)
        database = PostgreSQL(ports[0], here, networks=(f"{there}/32", f"{here}/32"))
        stack.callback(database.stop)
        broker = RabbitMQ((ports[1], ports[2], ports[3]), here)
        stack.callback(broker.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qe-", dir="/tmp")))
        redis = start_valkey(folder, "127.0.0.1", here, port=ports[4])
        stack.callback(redis.wait)
        stack.callback(redis.terminate)
        urls = {
            "DATABASE_URL": database.url("postgres", here),
            "REDIS_URL": f"redis://{here}:{ports[4]}/0",
            "BROKER_URL": broker.url("/", here),
        }
        hosts = (
            Host(here, [], {**urls, **environment}),
            Host(there, ["ip", "netns", "exec", name], {**urls, **environment}),
        )
        for host in hosts:
            stack.callback(host.close)
        hosts[0].manage("migrate", "--verbosity", "0")
        hosts[0].manage("load_sample_market")
        # The second has a disk of its own: its panels are made from the database.
        hosts[1].manage("rebuild_panel")
        hosts[0].manage("shell", "-c", MAKE_ANN)
        token = hosts[0].manage("token", "create", "ann", "desk", "--scope", "trade").split()[-1]
        for host in hosts:
            host.token = token
        yield hosts

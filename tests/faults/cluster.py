"""A server whose parts run as processes of their own, with a proxy in every line between them."""

import os
import shutil
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from redis import Redis

from tests.e2e.harness import PATIENCE, ROOT, data_folder, wait_until
from tests.faults.history import Row
from tests.faults.rows import postgresql_rows
from tests.postgresql import PostgreSQL
from tests.proxy import Proxy, proxying
from tests.valkey import start_valkey

LANES = ("convex", "heuristic")
DATABASE = "faults"


@dataclass(frozen=True)
class Cluster:
    """A server whose processes reach each other through proxies only.

    Attributes:
        folder: Its DATA_DIR, with the logs of its processes.
        postgresql: The database server.
        links: The proxies by the pair that they stand between.
        address: Where the web process itself answers.
    """

    folder: Path
    postgresql: PostgreSQL
    links: Mapping[str, Proxy]
    address: str

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.links['client-web'].port}/ws"

    def rows(self, names: Collection[str]) -> list[Row]:
        """The rows with these keys or request ids, read past every proxy."""
        return postgresql_rows(self.postgresql.url(DATABASE), names)

    def get(self, path: str) -> bytes:
        """A page of the server, past the proxy of its clients."""
        with urllib.request.urlopen(self.address + path, timeout=PATIENCE) as page:
            return bytes(page.read())

    @contextmanager
    def clock_off(self, name: str, seconds: float) -> Iterator[None]:
        """Set the clock of one process, with its children, and back again after the block."""
        # In place: a file that is cut off under a process that has mapped it kills the process.
        with clock_file(self.folder, name).open("r+b", buffering=0) as clock:
            clock.write(struct.pack("d", seconds))
            try:
                yield
            finally:
                clock.seek(0)
                clock.write(struct.pack("d", 0.0))

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """A simulated feed for one block."""
        port = int(self.address.rpartition(":")[2])
        feed = _start(self, "feed", ("run_feed", "simulated"), port)
        try:
            yield
        finally:
            _end(feed)

    def lose_waiting(self, lane: str) -> list[str]:
        """Take the head out of a lane behind the server's back; the ids that were taken."""
        return lose_waiting(self.folder / "valkey.sock", lane)

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def is_ready(self) -> bool:
        """Whether database, Redis and a worker of every lane answer."""
        try:
            page = self.get("/api/v1/health/ready").decode()
        except (urllib.error.URLError, ConnectionError):
            return False
        return all(f"{lane}: 2" in page for lane in LANES)


def lose_waiting(valkey: Path, lane: str) -> list[str]:
    """Take the head out of a lane behind the back of the server whose Valkey listens there."""
    with Redis(unix_socket_path=str(valkey)) as client:
        taken = cast("list[tuple[bytes, float]]", client.zpopmin(f"qe:queue:waiting:{lane}"))
    return [name.decode() for name, _ in taken]


@contextmanager
def cluster(port: int, postgresql_port: int) -> Iterator[Cluster]:
    """Everything for one block.

    Args:
        port: A free one, for the web process.
        postgresql_port: Another one.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(data_folder())
        valkey = start_valkey(folder)
        stack.callback(_end, valkey)
        postgresql = PostgreSQL(postgresql_port)
        stack.callback(postgresql.stop)
        postgresql.create(DATABASE)
        behind: dict[str, tuple[str, int] | str] = {"client-web": ("127.0.0.1", port)}
        for process in ("web", "worker"):
            behind[f"{process}-redis"] = str(folder / "valkey.sock")
            behind[f"{process}-postgresql"] = ("127.0.0.1", postgresql_port)
        links = {pair: stack.enter_context(proxying(there)) for pair, there in behind.items()}
        made = Cluster(folder, postgresql, links, f"http://127.0.0.1:{port}")
        subprocess.run(
            [sys.executable, "-c", PREPARE],
            cwd=ROOT,
            env=_environment(made, "worker", port),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for name, words in {
            "web": ("web",),
            "worker": ("worker", *LANES),
            "beat": ("beat",),
        }.items():
            stack.callback(_end, _start(made, name, words, port))
        try:
            wait_until(made.is_ready)
        except AssertionError as error:
            logs = "\n".join(f"== {name}\n{made.log(name)}" for name in ("web", "worker", "beat"))
            raise AssertionError(f"the cluster is not ready\n{logs}") from error
        yield made


PREPARE = """
import django
django.setup()
from quantumedge.preparation import prepare_database
prepare_database(print)
"""


def clock_file(folder: Path, name: str) -> Path:
    """What says by how much a process' clock is off."""
    return folder / f"{name}.clock"


def _start(made: Cluster, name: str, words: tuple[str, ...], port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "manage.py", *words]
    if setpriv := shutil.which("setpriv"):
        command = [setpriv, "--pdeathsig", "KILL", *command]
    side = "web" if name == "web" else "worker"
    clock = clock_file(made.folder, name)
    clock.write_bytes(struct.pack("d", 0.0))
    environment = {
        **_environment(made, side, port),
        "PYTHONPATH": str(Path(__file__).parent / "settable_clock"),
        "CLOCK_FILE": str(clock),
    }
    with (made.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _environment(made: Cluster, side: str, port: int) -> dict[str, str]:
    redis, database = (made.links[f"{side}-{there}"].port for there in ("redis", "postgresql"))
    address = f"redis://127.0.0.1:{redis}/0"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "quantumedge.settings",
        "DATA_DIR": str(made.folder),
        "PORT": str(port),
        "REDIS_URL": address,
        "BROKER_URL": address,
        "DATABASE_URL": f"postgres://quantumedge@127.0.0.1:{database}/{DATABASE}",
        "FEED": "none",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()

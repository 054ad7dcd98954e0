"""Starts a RabbitMQ of the tests' own, from Debian's package."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.background import start_server

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
COOKIE = "quantumedge-tests"
"""Shared by the node and its command line; a file of this name would be made in HOME otherwise."""


class RabbitMQ:
    """A RabbitMQ on TCP with a folder, a node name and an epmd of its own; guest may do all.

    Args:
        ports: Three free ones: of AMQP, of the node's distribution, of epmd.
        addresses: Where AMQP listens besides the loopback.
    """

    def __init__(self, ports: tuple[int, int, int], *addresses: str) -> None:
        self.port, distribution, names = ports
        self.folder = Path(tempfile.mkdtemp(prefix="qe-rabbitmq-", dir="/tmp"))
        listeners = [f"listeners.tcp.{i} = {a}:{self.port}\n" for i, a in enumerate(addresses, 1)]
        (self.folder / "rabbitmq.conf").write_text(
            # Guest is let in from elsewhere, too: the tests' networks reach nobody else.
            f"listeners.tcp.0 = 127.0.0.1:{self.port}\nloopback_users = none\n" + "".join(listeners)
        )
        (self.folder / "enabled_plugins").write_text("[].\n")
        self.environment = {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"quantumedge{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-setcookie {COOKIE} -kernel inet_dist_use_interface {{127,0,0,1}}"
            ),
            # Both together: the node without input, in the very process that is started, and not
            # below a shell whose death it would outlive.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_CTL_ERL_ARGS": f"-setcookie {COOKIE}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
        }
        # Ours, because the node would start one that outlives it.
        self._names = subprocess.Popen(
            _bound("epmd"), env={**os.environ, **self.environment}, start_new_session=True
        )
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return start_server(
            [str(PROGRAMS / "rabbitmq-server")],
            b"Server startup complete",
            environment=self.environment,
        )

    def url(self, vhost: str = "/", address: str = "127.0.0.1") -> str:
        """The ``BROKER_URL`` of one of its virtual hosts."""
        return f"amqp://guest:guest@{address}:{self.port}/{vhost}"

    def create(self, vhost: str) -> None:
        """Make a virtual host; queues are of one."""
        self._control("add_vhost", vhost)
        self._control("set_permissions", "--vhost", vhost, "guest", ".*", ".*", ".*")

    def drop(self, vhost: str) -> None:
        """Remove a virtual host and its queues."""
        self._control("delete_vhost", vhost)

    def _control(self, *words: str) -> None:
        subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "--quiet", *words],
            env={**os.environ, **self.environment},
            check=True,
        )

    def crash(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again after :meth:`crash`."""
        self.process = self._start()

    def stop(self) -> None:
        """End it for good and remove its folder."""
        for process in (self.process, self._names):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)


def _bound(command: str) -> list[str]:
    """A command that ends with this process."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", command] if setpriv else [command]

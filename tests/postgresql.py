"""Starts a PostgreSQL of the tests' own, from Debian's package or from PATH."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from tests.background import start_server

USER = "quantumedge"
UNPRIVILEGED = "postgres"
"""Whom root starts it as: PostgreSQL refuses to run as root."""
READY = b"database system is ready to accept connections"


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs, the newest version's."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4])
    )
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"no {name}: .ci/packages installs PostgreSQL")
    return found


class PostgreSQL:
    """A PostgreSQL on TCP with a folder of its own; everybody who reaches it is let in.

    Args:
        port: Where it listens.
        addresses: On which addresses; the loopback's is always among them.
        networks: Whose clients are let in besides those on the loopback, as ``10.0.0.0/8``.
    """

    def __init__(self, port: int, *addresses: str, networks: tuple[str, ...] = ()) -> None:
        self.port = port
        self.addresses = ("127.0.0.1", *addresses)
        self._user = UNPRIVILEGED if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="qe-postgresql-", dir="/tmp"))
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        subprocess.run(
            [
                *(program("initdb"), "--pgdata", str(self.folder / "data"), "--username", USER),
                *("--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
            ],
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.writelines(f"host all all {network} trust\n" for network in networks)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": ",".join(self.addresses),
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            # Processes die in the tests, the machine does not.
            "fsync": "off",
        }
        command = [program("postgres"), "-D", str(self.folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return start_server(command, READY, user=self._user, last_signal="QUIT")

    def url(self, database: str = "postgres", address: str = "127.0.0.1") -> str:
        """The ``DATABASE_URL`` of one of its databases."""
        return f"postgres://{USER}@{address}:{self.port}/{database}"

    def create(self, database: str) -> None:
        """Make an empty database, if there is none of that name."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (database,)
            ).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))

    def drop(self, database: str) -> None:
        """Remove a database with all connections to it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
            )

    def crash(self) -> None:
        """End it at once, in the middle of whatever it does; it recovers when started again."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def start(self) -> None:
        """Start it again after :meth:`crash`."""
        self.process = self._start()

    def stop(self) -> None:
        """End it for good and remove its folder."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
        shutil.rmtree(self.folder)

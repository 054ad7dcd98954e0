"""Starts and breaks the real thing: ``manage.py serve`` with all its processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from redis import Redis
from websockets.asyncio.client import connect

from tests import services

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED_VALKEY = {"REDIS_URL": "", "BROKER_URL": "", "REDIS_PREFIX": "qe"}
"""Settings that insist on the embedded Valkey, for tests that kill it."""
PATIENCE = 120.0
"""Seconds until a wait gives up; generous, because a test machine may be busy."""


class Server:
    """One ``manage.py serve`` and what it prints.

    Args:
        data_dir: Its folder; a server that ran there before is continued.
        environment: Settings besides the defaults.
        arguments: For ``serve``.
    """

    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.lines: list[str] = []
        self._news = threading.Condition()
        self.environment = {**server_environment(data_dir), **environment}
        command = [sys.executable, "manage.py", "serve", *(arguments or ("--port", "0"))]
        if shutil.which("setpriv"):
            # A killed test run must not leave its server behind.
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, text: str, after: int = 0) -> str:
        """The first printed line, from number ``after`` on, that contains ``text``."""

        def found() -> str | None:
            return next((line for line in self.lines[after:] if text in line), None)

        with self._news:
            self._news.wait_for(lambda: found() or not self._reader.is_alive(), PATIENCE)
        line = found()
        assert line, f"no line with {text!r}; printed:\n{self.output}\n{self.logs()}"
        return line

    def wait_ready(self) -> str:
        """Wait for the ready line."""
        return self.wait_for_line("Ready in")

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return self.wait_ready().partition("http://")[2].partition("/")[0]

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.address}/ws"

    def connect(self) -> connect:
        """A WebSocket client, to be used as ``async with server.connect() as client``."""
        return connect(self.ws_url)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as response:
            return bytes(response.read())

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Where it listens, once it is ready."""
        host, _, port = self.address.partition(":")
        return host, int(port)

    def redis_delete(self, name: str) -> None:
        """Delete a key from the server's Redis."""
        with self._redis_key(name) as (client, key):
            client.delete(key)

    def redis_set(self, name: str, value: str) -> None:
        """Put a string into the server's Redis."""
        with self._redis_key(name) as (client, key):
            client.set(key, value)

    @contextmanager
    def _redis_key(self, name: str) -> Iterator[tuple[Redis, str]]:
        """A client of the server's Redis, and the key of this name under the server's prefix."""
        addresses = services.part(self.data_dir.name)
        url = addresses.get("REDIS_URL", f"unix://{self.data_dir}/valkey.sock")
        with Redis.from_url(url) as client:
            yield client, f"{addresses.get('REDIS_PREFIX', 'qe')}:{name}"

    def processes(self) -> list[psutil.Process]:
        """Everything that runs below the supervisor, itself included."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def child(self, word: str) -> psutil.Process:
        """The supervisor's own child whose command line contains ``word``."""
        (child,) = [
            process
            for process in psutil.Process(self.process.pid).children()
            if word in command_line(process)
        ]
        return child

    def wait(self) -> int:
        """Wait until it has ended; returns its exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """Press Ctrl-C and wait; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def logs(self) -> str:
        """The end of every child's log, for the message of a failing test."""
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}"
            for path in sorted((self.data_dir / "log").glob("*.log"))
        )


def server_environment(data_dir: Path) -> dict[str, str]:
    """Variables of the processes that run on a folder: their own services, and no others."""
    inherited = {k: v for k, v in os.environ.items() if k not in services.ADDRESSES}
    return {**inherited, **services.part(data_dir.name), "DATA_DIR": str(data_dir)}


def manage(data_dir: Path, *arguments: str, **settings: str) -> str:
    """Run a command of an installation to its end; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**server_environment(data_dir), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command_line(process: psutil.Process) -> str:
    """What a process was started with; empty when it ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait for processes that nobody here started; returns those that are left."""
    _, left = psutil.wait_procs(processes, PATIENCE)
    return [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


def wait_until(condition: Callable[[], bool]) -> None:
    """Ask until a condition holds; each question should do some work of its own."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        waiting.wait(0.05)
    raise AssertionError("the condition did not come true")


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder with a short path, as unix sockets need."""
    folder = Path(tempfile.mkdtemp(prefix="qe-e2e-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)
    services.forget(folder.name)


@contextmanager
def serving(data_dir: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server for one ``with`` block; it is stopped whatever happens."""
    server = Server(data_dir, *arguments, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()

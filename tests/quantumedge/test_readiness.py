"""The word of a process that is ready, and the socket that systemd hands over."""

import asyncio
import os
import subprocess
import sys

from quantumedge.listening import listen
from quantumedge.readiness import activated_listener, expected_readiness

TELL = "from quantumedge.readiness import tell_ready; tell_ready(); print('told')"


async def test_a_process_tells_that_it_is_ready() -> None:
    async with expected_readiness() as readiness:
        environment = {**os.environ, **readiness.environment}
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", TELL, env=environment)
        await readiness.wait()
        assert await process.wait() == 0


def test_a_process_that_nobody_asked_tells_nobody() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    done = subprocess.run(
        [sys.executable, "-c", TELL], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout == "told\n"


def test_a_socket_that_was_opened_for_this_process_is_taken() -> None:
    program = (
        "import os, sys; from quantumedge.readiness import activated_listener;"
        "listener = activated_listener({**os.environ, 'LISTEN_PID': str(os.getpid())});"
        "print(listener.getsockname()[1], listener.getblocking())"
    )
    with listen("127.0.0.1", 0) as listener:
        done = subprocess.run(
            ["bash", "-c", f'exec "$0" -c "$1" 3<&{listener.fileno()}', sys.executable, program],
            env={**os.environ, "LISTEN_FDS": "1"},
            pass_fds=(listener.fileno(),),
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == [str(listener.getsockname()[1]), "False"]


def test_a_socket_of_another_process_is_left_alone() -> None:
    assert activated_listener({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert activated_listener({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}) is None
    assert activated_listener({}) is None

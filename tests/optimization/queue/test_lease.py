"""A solver that does not stop when its time is over is ended with its process."""

import subprocess
import sys

import pytest
from redis import Redis

from optimization.queue.admission import Claim, LeaseState
from optimization.queue.lanes import Lane
from optimization.queue.lease import LeaseKeeper

# Says how its request's end went, and solves for ever.
HOLDER = """
import os, sys
import django
django.setup()
from optimization.queue.admission import Claim, LeaseState
from optimization.queue.lanes import Lane
from optimization.queue.lease import keeper

answers = iter(sys.argv[1:])

def end():
    answer = next(answers)
    os.write(1, answer.encode() + b"\\n")
    return answer == "ended"

with keeper.hold(Claim(Lane.CONVEX, "r1", 1), 0.01, end) as lease:
    while True:
        pass
"""


@pytest.mark.parametrize("answers", [["ended"], ["ended before", "ended"]])
def test_a_solver_that_does_not_stop_is_killed_once_its_request_has_ended(
    answers: list[str], redis_server: Redis
) -> None:
    assert redis_server.ping()
    done = subprocess.run(
        [sys.executable, "-c", HOLDER, *answers], capture_output=True, text=True, check=False
    )
    assert (done.stdout.splitlines(), done.returncode) == (answers, -9)


def test_a_holder_learns_that_its_time_is_over_before_it_is_killed() -> None:
    claim = Claim(Lane.CONVEX, "r1", 1)
    with LeaseKeeper().hold(claim, 0.0, lambda: False) as lease:
        while lease.state is not LeaseState.OVERDUE:
            pass

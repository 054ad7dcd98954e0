"""What a worker has at hand before its first request comes."""

import subprocess
import sys
from typing import Any

import pytest
from celery.signals import worker_process_init

from optimization.queue import preloading
from optimization.queue.lanes import Lane

LOADED = """
import django, sys
django.setup()
from optimization.queue.lanes import Lane
from optimization.queue.preloading import preload_solvers
before = "cvxpy" in sys.modules
preload_solvers([Lane(sys.argv[1])])
print(before, *(name in sys.modules for name in ("cvxpy", "scipy.cluster.hierarchy")))
"""


@pytest.mark.parametrize(
    ("lane", "printed"), [(Lane.CONVEX, "False True True"), (Lane.HEURISTIC, "False False False")]
)
def test_the_lane_that_may_need_cvxpy_has_it_before_its_pool_forks(
    lane: Lane, printed: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOADED, lane], capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[-2] == printed


@pytest.mark.parametrize(("lane", "count"), [(Lane.CONVEX, 1), (Lane.HEURISTIC, 0)])
def test_a_child_solves_once_by_cvxpy_where_its_lane_may(
    lane: Lane, count: int, monkeypatch: Any
) -> None:
    solved: list[Any] = []
    monkeypatch.setattr(preloading, "_preloaded", [lane])
    monkeypatch.setattr(preloading, "solve", lambda _, **asked: solved.append(asked))
    worker_process_init.send(sender=None)
    assert solved == [{"parameters": {"solver": "general"}}] * count

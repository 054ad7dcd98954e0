"""What a worker loads before the first request comes, so that no client waits for a library."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from celery.signals import celeryd_after_setup, worker_process_init

from optimization.engine import Objective, Problem, available_methods, solve
from optimization.engine.objectives import CONVEX, RULES
from optimization.queue.lanes import LANES, Lane, served_lanes

_preloaded: list[Lane] = []
"""What this worker's parent has preloaded; its children are told by being copies of it."""


def preload_solvers(lanes: list[Lane]) -> None:
    """Import and try out the solvers of these lanes before the pool forks.

    Every child shares their memory.
    """
    problem = _small_problem()
    for method in available_methods():
        if LANES[method] in lanes:
            solve(problem, method=method, rng=np.random.default_rng(0))
    if Lane.CONVEX in lanes:
        for objective in Objective:
            if objective in CONVEX | RULES:
                solve(replace(problem, objective=objective))
        _solve_generally(problem)


def _small_problem() -> Problem:
    returns = np.random.default_rng(0).normal(0.001, 0.01, (60, 3))
    return Problem(returns=returns, symbols=("A", "B", "C"))


def _solve_generally(problem: Problem) -> None:
    """Solve by CVXPY, which takes longer to load than all else together."""
    solve(problem, parameters={"solver": "general"})


@celeryd_after_setup.connect
def _preload(instance: Any, **_kwargs: Any) -> None:
    """Runs after the queues are chosen and before the pool forks."""
    import_module("optimization.solving.running")
    _preloaded[:] = served_lanes(instance.app.amqp.queues.consume_from)
    preload_solvers(_preloaded)


@worker_process_init.connect
def _touch(**_kwargs: Any) -> None:
    """Runs first in every child, which gets a page of its own for each that it writes to."""
    if Lane.CONVEX in _preloaded:
        _solve_generally(_small_problem())

"""The efficient frontier: the least risk for every expected return, from end to end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from optimization.engine.errors import InvalidProblemError
from optimization.engine.feasible import check_bounds
from optimization.engine.problem import Objective, Problem, Solution

RISKS = frozenset(
    {
        Objective.MINIMIZE_VARIANCE,
        Objective.MINIMIZE_CVAR,
        Objective.MINIMIZE_MAD,
        Objective.MINIMIZE_CDAR,
        Objective.MINIMIZE_MAX_DRAWDOWN,
    }
)
"""Objectives that a frontier can minimise; under any other objective it minimises the variance."""

INSIDE = 1e-9
"""How far, relative to the span of returns, the last point stays from the very end."""

CHUNK = 5
"""Points in a row that start warm from each other; the next begins anew.

Where an optimum is not unique, the start decides which one is found. So a point depends on its own
chunk alone, and whoever traces it from the chunk's first point finds the same.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One point of the frontier.

    Attributes:
        index: Its place, 0 for the least risk.
        target_return: Expected return a year that was asked for.
        solution: The portfolio of the least risk that reaches it.
    """

    index: int
    target_return: float
    solution: Solution


OnPoint = Callable[[FrontierPoint], None]
"""Called with each point as it is found; raising ``SolveCancelledError`` from it stops."""


def ignore_point(_point: FrontierPoint) -> None:
    """Report nothing."""


def frontier_range(
    problem: Problem, parameters: Mapping[str, Any] | None = None
) -> tuple[float, float]:
    """Expected return a year of the portfolio of the least risk, and the largest there is.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    solver = import_module("optimization.engine.convex.solver")
    instance = _instance(problem, parameters)
    calmest, _ = solver.solve_and_report(instance)
    richest, _ = solver.solve_and_report(
        replace(instance, problem=replace(problem, objective=Objective.MAXIMIZE_RETURN))
    )
    low, high = calmest.metrics["expected_return"], richest.metrics["expected_return"]
    return min(low, high), high


def efficient_frontier(
    problem: Problem,
    points: int = 20,
    *,
    on_point: OnPoint = ignore_point,
    parameters: Mapping[str, Any] | None = None,
    targets: Sequence[float] | None = None,
) -> tuple[FrontierPoint, ...]:
    """Trace the frontier from the least risk to the largest return, warm within each chunk.

    Args:
        problem: Its objective names the risk if it is one of ``RISKS``; else it is the variance.
        points: How many, evenly spaced in expected return.
        on_point: Called with each point as it is found.
        parameters: As for :func:`optimization.engine.solve`: ``covariance``.
        targets: Expected returns a year instead of evenly spaced ones, e.g. one worker's share.

    Raises:
        InvalidProblemError: Fewer than two points.
        EngineError: See ``optimization.engine.errors``.
    """
    if points < 2:
        raise InvalidProblemError(f"a frontier has at least 2 points, not {points}", ["points"])
    if targets is None:
        targets = frontier_targets(problem, points, parameters)
    found = []
    for point in frontier_points(problem, targets, parameters):
        found.append(point)
        on_point(point)
    return tuple(found)


def frontier_points(
    problem: Problem, targets: Sequence[float], parameters: Mapping[str, Any] | None = None
) -> Iterator[FrontierPoint]:
    """The points of some expected returns a year, each solved when it is asked for.

    Args:
        problem: As for :func:`efficient_frontier`.
        targets: Expected returns, those of a whole frontier from the start of any ``CHUNK`` on.
        parameters: As for :func:`efficient_frontier`.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    problem = _with_risk(problem)
    solver = import_module("optimization.engine.convex.solver")
    start, warm = _instance(problem, parameters), solver.COLD
    for index, target in enumerate(targets):
        if index % CHUNK == 0:
            warm = solver.COLD
        constraints = replace(problem.constraints, target_return=target)
        instance = start.under(replace(problem, constraints=constraints))
        solution, warm = solver.solve_and_report(instance, warm)
        yield FrontierPoint(index=index, target_return=target, solution=solution)


def frontier_targets(
    problem: Problem, points: int, parameters: Mapping[str, Any] | None = None
) -> tuple[float, ...]:
    """Evenly spaced expected returns a year along the frontier.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    low, high = frontier_range(_with_risk(problem), parameters)
    return tuple(np.linspace(low, high - INSIDE * (high - low), points).tolist())


def _with_risk(problem: Problem) -> Problem:
    """The problem with an objective that a frontier can minimise."""
    if problem.objective in RISKS:
        return problem
    return replace(problem, objective=Objective.MINIMIZE_VARIANCE)


def _instance(problem: Problem, parameters: Mapping[str, Any] | None) -> Any:
    check_bounds(problem)
    instances = import_module("optimization.engine.convex.instance")
    return instances.instance_of(problem, (parameters or {}).get("covariance"))

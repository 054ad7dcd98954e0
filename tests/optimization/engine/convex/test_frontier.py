"""The efficient frontier against PyPortfolioOpt and against its own definition."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from pypfopt import EfficientFrontier

from optimization.engine import (
    Constraints,
    Objective,
    Problem,
    efficient_frontier,
    frontier_points,
    solve,
)
from optimization.engine.errors import InvalidProblemError, SolveCancelledError
from optimization.engine.frontier import CHUNK


def test_points_agree_with_pyportfolioopt(make_problem: Any) -> None:
    problem = make_problem(10, 504, max_weight=0.4)
    mean, sample = problem.returns.mean(axis=0) * 252, np.cov(problem.returns.T) * 252
    for point in efficient_frontier(problem, 6)[1:-1]:
        peer = EfficientFrontier(mean, sample, weight_bounds=(0, 0.4))
        peer.efficient_return(point.target_return)
        theirs = peer.portfolio_performance()[1]
        assert point.solution.metrics["expected_volatility"] == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_CVAR])
def test_more_return_takes_more_risk(make_problem: Any, objective: Any) -> None:
    points: Any = efficient_frontier(make_problem(10, 504, objective, max_weight=0.4), 12)
    metric = "cvar" if objective == Objective.MINIMIZE_CVAR else "expected_volatility"
    risks = [point.solution.metrics[metric] for point in points]
    returns = [point.solution.metrics["expected_return"] for point in points]
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(risks))
    assert all(b > a for a, b in itertools.pairwise(returns))
    assert all(point.solution.optimality_gap <= 1e-8 for point in points)
    assert all(point.solution.max_violation <= 1e-9 for point in points)


def test_the_ends_are_the_least_risk_and_the_largest_return(make_problem: Any) -> None:
    problem = make_problem(10, 504, max_weight=0.4)
    points: Any = efficient_frontier(problem, 5)
    calm: Any = solve(dataclasses.replace(problem, objective=Objective.MINIMIZE_VARIANCE))
    rich: Any = solve(dataclasses.replace(problem, objective=Objective.MAXIMIZE_RETURN))
    assert points[0].solution.weights == pytest.approx(calm.weights, abs=1e-6)
    assert points[-1].solution.weights == pytest.approx(rich.weights, abs=1e-6)


def test_points_come_as_they_are_found_and_can_be_stopped(make_problem: Any) -> None:
    seen = []

    def stop_after_three(point: Any) -> None:
        seen.append(point.index)
        if len(seen) == 3:
            raise SolveCancelledError("enough")

    with pytest.raises(SolveCancelledError):
        efficient_frontier(make_problem(5, 252), 10, on_point=stop_after_three)
    assert seen == [0, 1, 2]


def test_a_share_of_the_targets_gives_the_same_points(make_problem: Any) -> None:
    problem = make_problem(8, 252, max_weight=0.4)
    whole = efficient_frontier(problem, 7)
    share = efficient_frontier(problem, 7, targets=[point.target_return for point in whole[3:5]])
    for ours, theirs in zip(share, whole[3:5], strict=True):
        assert ours.solution.weights == pytest.approx(theirs.solution.weights, abs=1e-9)


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_CVAR])
def test_any_chunk_gives_the_same_points_even_of_twins(sp500: Any, objective: Any) -> None:
    """Of two identical assets either may be held: the start decides, and must be the same."""
    window = sp500.iloc[-504:, :10].to_numpy()
    problem = Problem(
        returns=np.hstack([window] * 4),
        symbols=tuple(f"S{asset:02d}" for asset in range(40)),
        objective=objective,
        constraints=Constraints(max_weight=0.1),
    )
    whole = efficient_frontier(problem, 4 * CHUNK)
    for first in range(0, len(whole), CHUNK):
        some = whole[first : first + CHUNK]
        share = frontier_points(problem, [point.target_return for point in some])
        for ours, theirs in zip(share, some, strict=True):
            assert ours.solution.weights == pytest.approx(theirs.solution.weights, abs=1e-9)


def test_one_point_is_no_frontier(make_problem: Any) -> None:
    with pytest.raises(InvalidProblemError, match="at least 2 points"):
        efficient_frontier(make_problem(5, 252), 1)

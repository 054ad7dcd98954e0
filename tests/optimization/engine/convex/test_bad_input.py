"""Windows and bounds that break solvers: the exact answer, known by hand, or an error by name."""

import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from optimization.engine import AssetBounds, Constraints, Objective, Problem, Solution, solve
from optimization.engine.convex.instance import instance_with
from optimization.engine.convex.solver import solve_and_report
from optimization.engine.covariance import DenseCovariance
from optimization.engine.errors import EngineError, InvalidProblemError, UnboundedProblemError
from optimization.engine.moments import Estimate

FIVE = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
)
RNG = np.random.default_rng(11)
RETURNS = RNG.normal((0.002, 0.001, 0.0015), (0.02, 0.01, 0.015), (120, 3))
A_TIE = np.column_stack([np.tile([0.02, -0.01], 30), np.tile([-0.01, 0.02], 30)])
"""Two assets that hedge each other entirely: half of each earns 0.5 % every day."""


def solved(returns: Any, objective: Objective, **constraints: Any) -> Solution:
    problem = Problem(
        returns=np.asarray(returns, dtype=np.float64),
        symbols=tuple("ABCDEFGHIJ"[: np.shape(returns)[1]]),
        objective=objective,
        constraints=Constraints(**constraints),
    )
    return solve(problem)


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_CVAR])
def test_a_singular_covariance_gives_the_perfect_hedge(objective: Any) -> None:
    solution: Any = solved(A_TIE, objective)
    assert solution.weights == pytest.approx([0.5, 0.5], abs=1e-9)
    assert solution.metrics["expected_volatility"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("objective", [Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_SORTINO])
def test_a_ratio_over_a_perfect_hedge_has_no_maximum(objective: Any) -> None:
    with pytest.raises(UnboundedProblemError, match="gained without any risk"):
        solved(A_TIE, objective)


@pytest.mark.parametrize("correlation", [1.0001, 1.01, 1.5, 2.0])
def test_a_covariance_with_negative_variances_is_refused(correlation: float) -> None:
    """With a correlation beyond 1, A less B would have less than no risk."""
    matrix = 1e-4 * np.array([[1, correlation, 0], [correlation, 1, 0], [0, 0, 1]])
    with pytest.raises(InvalidProblemError, match="negative variance") as caught:
        DenseCovariance(np.zeros((0, 3)), matrix=matrix)
    assert "parameters.covariance" in caught.value.fields


def test_a_covariance_of_rank_one_is_one() -> None:
    """A correlation of exactly 1 is singular, not wrong: the calmer of the two takes all."""
    matrix = 1e-4 * np.outer([1.0, 2.0], [1.0, 2.0])
    problem = Problem(
        returns=RETURNS[:, :2], symbols=("A", "B"), objective=Objective.MINIMIZE_VARIANCE
    )
    covariance = DenseCovariance(np.zeros((0, 2)), matrix=matrix)
    solution, _ = solve_and_report(instance_with(problem, Estimate.of(covariance), np.zeros(2)))
    assert solution.weights == pytest.approx([1.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("objective", FIVE[:4])
def test_fewer_periods_than_assets_are_certified(objective: Any) -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.02, (6, 10))
    solution: Any = solved(returns, objective, max_weight=0.2)
    assert solution.optimality_gap <= 1e-8
    assert solution.max_violation <= 1e-9


def test_fewer_periods_than_assets_leave_a_portfolio_that_never_lost() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.02, (6, 10))
    never = linprog(-returns.mean(axis=0), -returns, np.zeros(6), np.ones((1, 10)), [1], (0, 0.2))
    assert -never.fun > 0
    with pytest.raises(UnboundedProblemError, match="gained without any risk"):
        solved(returns, Objective.MAXIMIZE_SORTINO, max_weight=0.2)


@pytest.mark.parametrize("objective", FIVE)
def test_one_period_is_too_few(objective: Any) -> None:
    with pytest.raises(InvalidProblemError, match="at least 2") as caught:
        solved(RETURNS[:1], objective)
    assert caught.value.fields == ("parameters.lookback",)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_missing_return_names_its_asset(value: float) -> None:
    returns = RETURNS.copy()
    returns[7, 1] = value
    with pytest.raises(InvalidProblemError, match="returns of B") as caught:
        solved(returns, Objective.MINIMIZE_VARIANCE)
    assert caught.value.fields == ("symbols[1]",)


@pytest.mark.parametrize("objective", FIVE)
def test_prices_that_never_move_leave_nothing_to_choose(objective: Any) -> None:
    flat = np.zeros((30, 3))
    if objective in (Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_SORTINO):
        with pytest.raises(EngineError, match="earns less than the risk-free rate"):
            solved(flat, objective)
        return
    solution: Any = solved(flat, objective)
    assert solution.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert solution.metrics["expected_volatility"] == 0
    assert solution.metrics["cvar"] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("assets", [1, 3])
def test_what_never_moves_has_no_risk_to_diversify(assets: int) -> None:
    with pytest.raises(InvalidProblemError, match="no risk to diversify") as caught:
        solved(np.zeros((20, assets)), Objective.MAXIMIZE_DIVERSIFICATION, long_only=False)
    assert "symbols" in caught.value.fields


@pytest.mark.parametrize("constraints", [{}, {"min_position": 0.1}, {"long_only": False}])
@pytest.mark.parametrize("move", [1e-4, -0.7, 0.3])
def test_what_always_moves_alike_has_no_risk_to_diversify(move: float, constraints: Any) -> None:
    flat = np.full((410, 6), move)
    # Exactly; the mean of so many doubles is not the double itself.
    assert statistics.pvariance([Fraction(x) for x in flat[:, 0].tolist()]) == 0
    with pytest.raises(InvalidProblemError, match="no risk to diversify"):
        solved(flat, Objective.MAXIMIZE_DIVERSIFICATION, **constraints)


def test_an_asset_that_always_moves_alike_adds_nothing_to_diversification() -> None:
    moving = np.random.default_rng(3).normal(0, 0.01, (300, 4))
    alone: Any = solved(moving, Objective.MAXIMIZE_DIVERSIFICATION)
    beside: Any = solved(
        np.column_stack([moving, np.full(300, 1e-4)]), Objective.MAXIMIZE_DIVERSIFICATION
    )
    assert beside.optimality_gap <= 1e-8
    held = beside.weights[:4] / beside.weights[:4].sum()
    assert held == pytest.approx(alone.weights, abs=1e-8)


@pytest.mark.parametrize("scale", [1e-8, 1e2])
@pytest.mark.parametrize("objective", FIVE)
def test_the_unit_of_returns_changes_no_weight(objective: Any, scale: float) -> None:
    plain: Any = solved(RETURNS, objective, max_weight=0.6)
    scaled: Any = solved(RETURNS * scale, objective, max_weight=0.6)
    assert scaled.weights == pytest.approx(plain.weights, abs=1e-6)
    assert scaled.optimality_gap <= 1e-8


@pytest.mark.parametrize(
    "objective", [*FIVE, Objective.MINIMIZE_CDAR, Objective.MINIMIZE_MAX_DRAWDOWN]
)
@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ({"min_weight": 1 / 3, "max_weight": 1 / 3}, [1 / 3, 1 / 3, 1 / 3]),
        ({"max_weight": 1 / 3}, [1 / 3, 1 / 3, 1 / 3]),
        ({"min_weight": 1 / 3}, [1 / 3, 1 / 3, 1 / 3]),
        (
            {
                "asset_bounds": {
                    "A": AssetBounds(min_weight=0.5, max_weight=0.5),
                    "B": AssetBounds(min_weight=0.3, max_weight=0.3),
                    "C": AssetBounds(min_weight=0.2, max_weight=0.2),
                }
            },
            [0.5, 0.3, 0.2],
        ),
    ],
)
def test_bounds_that_leave_one_portfolio_give_it(
    objective: Any, constraints: Any, expected: Any
) -> None:
    solution: Any = solved(RETURNS, objective, **constraints)
    assert solution.weights == pytest.approx(expected, abs=1e-12)
    assert solution.optimality_gap <= 1e-12


@pytest.mark.parametrize("objective", FIVE)
def test_one_asset_takes_all(objective: Any) -> None:
    solution: Any = solved(RETURNS[:, :1], objective)
    assert solution.weights == pytest.approx([1.0], abs=1e-12)
    assert solution.metrics["expected_return"] == pytest.approx(252 * RETURNS[:, 0].mean())


@pytest.mark.parametrize("objective", FIVE)
def test_identical_assets_are_worth_what_one_of_them_is(objective: Any) -> None:
    single: Any = solved(RETURNS, objective)
    doubled: Any = solved(np.column_stack([RETURNS, RETURNS]), objective)
    together = doubled.weights[:3] + doubled.weights[3:]
    assert together == pytest.approx(single.weights, abs=1e-6)
    assert doubled.optimality_gap <= 1e-8

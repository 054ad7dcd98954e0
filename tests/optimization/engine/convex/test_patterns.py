"""Limits on traded and absolute weights without CVXPY, against CVXPY and against every pattern."""

import itertools
from typing import Any

import cvxpy
import numpy as np
import pytest

from optimization.engine import Constraints, Objective, Problem, measures, solve
from optimization.engine.convex.instance import instance_of
from optimization.engine.convex.patterns import exceeded_patterns

cp: Any = cvxpy

YEAR = 252
N_ASSETS = 12
CURRENT = dict(zip(("AAPL", "AMD", "BAC", "BBY"), (0.7, 0.5, -0.4, 0.2), strict=True))
RISKS = (Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_CVAR, Objective.MAXIMIZE_UTILITY)
RATIOS = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MAXIMIZE_SORTINO,
    Objective.MAXIMIZE_DIVERSIFICATION,
)
LIMITS: dict[str, dict[str, Any]] = {
    "turnover": {"current_weights": CURRENT, "max_turnover": 0.7},
    "leverage": {"max_leverage": 1.5},
    "both": {"current_weights": CURRENT, "max_turnover": 1.9, "max_leverage": 1.3},
    "both and cash": {
        "current_weights": CURRENT,
        "max_turnover": 1.7,
        "max_leverage": 1.1,
        "sum_to_one": False,
    },
    "no trade at all": {"current_weights": CURRENT, "max_turnover": 0.0},
}


def limited(problem: Problem, weights: Any, scale: Any = 1.0) -> list[Any]:
    """The limits of a problem on κw, written out."""
    constraints, total = problem.constraints, cp.sum(weights)
    limits = [weights <= scale, weights >= -scale]
    limits.append(total == scale if constraints.sum_to_one else total <= scale)
    if constraints.max_leverage is not None:
        limits.append(cp.norm1(weights) <= scale * constraints.max_leverage)
    if constraints.max_turnover is not None:
        held = np.array([CURRENT.get(symbol, 0.0) for symbol in problem.symbols])
        limits.append(cp.norm1(weights - scale * held) <= scale * constraints.max_turnover)
    return limits


def by_cvxpy(problem: Problem) -> np.ndarray:
    """The optimal weights of the model written out."""
    weights, scale = cp.Variable(problem.n_assets), cp.Variable(nonneg=True)
    returns = problem.returns * 100
    mean, centred = returns.mean(axis=0), returns - returns.mean(axis=0)
    variance = cp.sum_squares(centred @ weights) / (len(returns) - 1)
    if problem.objective not in RATIOS:
        cost = {
            Objective.MINIMIZE_VARIANCE: variance,
            Objective.MINIMIZE_CVAR: cp.cvar(-returns @ weights, 0.95),
            # (λ/2)·w'Σw − m'w, with returns in per cent.
            Objective.MAXIMIZE_UTILITY: problem.risk_aversion / 200 * variance - mean @ weights,
        }[problem.objective]
        cp.Problem(cp.Minimize(cost), limited(problem, weights)).solve(solver=cp.CLARABEL)
        return np.asarray(weights.value)
    gain = mean
    if problem.objective == Objective.MAXIMIZE_DIVERSIFICATION:
        gain = centred.std(axis=0, ddof=1)
    if problem.objective == Objective.MAXIMIZE_SORTINO:
        variance = cp.sum_squares(cp.pos(-returns @ weights)) / len(returns)
    limits = [*limited(problem, weights, scale), gain @ weights == 1]
    cp.Problem(cp.Minimize(variance), limits).solve(solver=cp.CLARABEL)
    return np.asarray(weights.value / scale.value)


@pytest.mark.parametrize("objective", [*RISKS, *RATIOS])
@pytest.mark.parametrize("limits", LIMITS)
def test_limits_on_amounts_need_no_cvxpy(make_problem: Any, objective: Any, limits: Any) -> None:
    chosen = {"long_only": False, **LIMITS[limits]}
    if chosen.get("max_turnover") == 0.0:
        chosen["sum_to_one"] = True
    problem = make_problem(N_ASSETS, 504, objective, **chosen)
    solution: Any = solve(problem)
    assert solution.optimality_gap <= 1e-8
    assert solution.max_violation <= 1e-9
    cost = measures.cost_function(problem)
    ours, theirs = float(cost(solution.weights)), float(cost(by_cvxpy(problem)))
    assert ours == pytest.approx(theirs, rel=1e-5)
    if limits != "no trade at all":
        assert "cvxpy" not in solution.solver


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_RETURN])
def test_a_target_net_of_costs_needs_no_cvxpy(make_problem: Any, objective: Any) -> None:
    limits = {"current_weights": CURRENT, "transaction_costs": 0.02, "target_return": 0.25}
    problem = make_problem(
        N_ASSETS, 504, objective, long_only=False, max_weight=0.6, min_weight=-0.6, **limits
    )
    weights = cp.Variable(N_ASSETS)
    held = np.array([CURRENT.get(symbol, 0.0) for symbol in problem.symbols])
    returns = problem.returns
    net = YEAR * returns.mean(axis=0) @ weights - 0.02 * cp.norm1(weights - held)
    cost = -net
    if objective == Objective.MINIMIZE_VARIANCE:
        cost = YEAR * cp.sum_squares((returns - returns.mean(axis=0)) @ weights) / 503
    bounds = [cp.sum(weights) == 1, cp.abs(weights) <= 0.6, net >= 0.25]
    least = cp.Problem(cp.Minimize(cost), bounds).solve(solver=cp.CLARABEL)
    solution: Any = solve(problem)
    assert "cvxpy" not in solution.solver
    assert solution.optimality_gap <= 1e-8
    assert solution.max_violation <= 1e-9
    weights.value = solution.weights
    assert float(cost.value) == pytest.approx(float(least), rel=1e-6)


def test_patterns_are_the_limits_themselves(make_problem: Any) -> None:
    chosen = {"current_weights": CURRENT, "max_turnover": 0.8, "max_leverage": 1.2}
    problem = make_problem(6, 252, Objective.MINIMIZE_VARIANCE, long_only=False, **chosen)
    region = instance_of(problem).region
    every = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
    rng = np.random.default_rng(5)
    for weights in region.current + rng.normal(0, 0.25, (200, 6)):
        traded = float((every @ (weights - region.current)).max())
        borrowed = float((every @ weights).max())
        exceeded = {
            row.field: float(row.coefficients @ weights) - row.high
            for row in exceeded_patterns(region, weights)
        }
        expected = {
            "constraints.max_turnover": traded - 0.8,
            "constraints.max_leverage": borrowed - 1.2,
        }
        assert exceeded == pytest.approx(
            {field: excess for field, excess in expected.items() if excess > 1e-9}, abs=1e-12
        )


def test_nothing_exceeds_what_is_not_limited() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (30, 3))
    problem = Problem(
        returns=returns,
        symbols=("A", "B", "C"),
        objective=Objective.MINIMIZE_VARIANCE,
        constraints=Constraints(long_only=False),
    )
    region = instance_of(problem).region
    assert not list(exceeded_patterns(region, np.array([9.0, -9.0, 1.0])))

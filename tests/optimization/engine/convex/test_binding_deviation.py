"""Optima on a limit on a deviation that binds, without CVXPY, against CVXPY."""

from typing import Any

import cvxpy
import numpy as np
import pytest

from optimization.engine import Objective, solve

cp: Any = cvxpy

YEAR = 252
BENCHMARK = {"AAPL": 0.3, "BBY": 0.3, "CVX": 0.4}
CURRENT = {"AAPL": 0.3, "AMD": 0.3, "BAC": 0.4}
LIMITS: dict[str, dict[str, Any]] = {
    "long only": {},
    "long and short": {"long_only": False},
    "turnover": {"current_weights": CURRENT, "max_turnover": 1.2},
    "leverage": {"long_only": False, "max_leverage": 1.3},
}


@pytest.mark.parametrize("share", [1.0001, 1.02, 1.3, 1.8])
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize(
    "objective",
    [Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_RETURN, Objective.MAXIMIZE_UTILITY],
)
def test_the_optimum_within_a_tracking_error(
    make_problem: Any, objective: Any, limits: Any, share: float
) -> None:
    window = make_problem(12, 504)
    held = np.array([CURRENT.get(symbol, 0.0) for symbol in window.symbols])
    benchmark = np.array([BENCHMARK.get(symbol, 0.0) for symbol in window.symbols])
    centred = (window.returns - window.returns.mean(axis=0)) * np.sqrt(YEAR / 503)
    weights, chosen = cp.Variable(12), LIMITS[limits]
    region = [cp.sum(weights) == 1, weights <= 0.6]
    region.append(weights >= (-1.0 if "long_only" in chosen else 0.0))
    if "max_turnover" in chosen:
        region.append(cp.norm1(weights - held) <= chosen["max_turnover"])
    if "max_leverage" in chosen:
        region.append(cp.norm1(weights) <= chosen["max_leverage"])
    error = cp.norm(centred @ (weights - benchmark), 2)
    least = float(cp.Problem(cp.Minimize(error), region).solve(solver=cp.CLARABEL))
    limit = max(least, 0.01) * share
    variance = cp.sum_squares(centred @ weights)
    earned = YEAR * window.returns.mean(axis=0) @ weights
    cost = {
        Objective.MINIMIZE_VARIANCE: variance,
        Objective.MAXIMIZE_RETURN: -earned,
        Objective.MAXIMIZE_UTILITY: window.risk_aversion / 2 * variance - earned,
    }[objective]
    model = cp.Problem(cp.Minimize(cost), [*region, error <= limit])
    best = float(model.solve(solver=cp.CLARABEL))
    problem = make_problem(
        12,
        504,
        objective,
        max_weight=0.6,
        benchmark_weights=BENCHMARK,
        max_tracking_error=limit,
        **chosen,
    )
    solution: Any = solve(problem)
    assert "cvxpy" not in solution.solver
    assert solution.optimality_gap <= 1e-8
    assert solution.max_violation <= 1e-9
    weights.value = solution.weights
    assert float(cost.value) == pytest.approx(best, rel=1e-5)
    assert float(error.value) == pytest.approx(limit, rel=1e-8)

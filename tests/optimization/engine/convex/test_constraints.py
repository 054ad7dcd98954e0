"""Every constraint beyond the bounds, against the same model written out in CVXPY."""

from typing import Any

import cvxpy
import numpy as np
import pytest

from optimization.engine import AssetBounds, Constraints, Group, Objective, Problem, measures, solve
from optimization.engine.errors import InvalidProblemError

cp: Any = cvxpy

YEAR = 252
CURRENT = {"AAPL": 0.5, "AMD": 0.3, "BAC": 0.2}
BENCHMARK = {"AAPL": 0.25, "BBY": 0.25, "CVX": 0.5}
OBJECTIVES = (Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_CVAR, Objective.MAXIMIZE_RETURN)


def vector(problem: Problem, weights: dict[str, float]) -> np.ndarray:
    return np.array([weights.get(symbol, 0.0) for symbol in problem.symbols])


def deviation(problem: Problem, weights: Any) -> Any:
    sample = np.linalg.cholesky(np.cov(problem.returns.T)).T
    return np.sqrt(YEAR) * cp.norm(sample @ weights, 2)


CASES: dict[str, Any] = {
    "asset bounds": (
        {
            "asset_bounds": {
                "AAPL": AssetBounds(min_weight=0.2),
                "BAC": AssetBounds(max_weight=0.05),
            }
        },
        lambda _, w: [w[0] >= 0.2, w[2] <= 0.05],
    ),
    "groups": (
        {
            "groups": (
                Group(name="g", symbols=("AAPL", "AMD", "BAC"), min_weight=0.3, max_weight=0.5),
            )
        },
        lambda _, w: [cp.sum(w[:3]) >= 0.3, cp.sum(w[:3]) <= 0.5],
    ),
    "turnover": (
        {"current_weights": CURRENT, "max_turnover": 0.6},
        lambda p, w: [cp.norm1(w - vector(p, CURRENT)) <= 0.6],
    ),
    "tracking error": (
        {"benchmark_weights": BENCHMARK, "max_tracking_error": 0.08},
        lambda p, w: [deviation(p, w - vector(p, BENCHMARK)) <= 0.08],
    ),
    "target return": (
        {"target_return": 0.15},
        lambda p, w: [YEAR * p.returns.mean(axis=0) @ w >= 0.15],
    ),
    "target volatility": (
        {"target_volatility": 0.17},
        lambda p, w: [deviation(p, w) <= 0.17],
    ),
    "leverage": (
        {"long_only": False, "max_leverage": 1.4},
        lambda _, w: [cp.norm1(w) <= 1.4],
    ),
    "several": (
        {
            "current_weights": CURRENT,
            "max_turnover": 1.2,
            "target_volatility": 0.2,
            "groups": (Group(name="g", symbols=("AAPL", "AMD"), min_weight=0.3),),
        },
        lambda p, w: [
            cp.norm1(w - vector(p, CURRENT)) <= 1.2,
            deviation(p, w) <= 0.2,
            cp.sum(w[:2]) >= 0.3,
        ],
    ),
}


def figures(problem: Problem) -> Any:
    return solve(problem).metrics


def reference(problem: Problem, constrain: Any) -> float:
    weights = cp.Variable(problem.n_assets)
    bounds = [
        cp.sum(weights) == 1,
        weights >= problem.constraints.lower,
        weights <= problem.constraints.upper,
    ]
    returns, scale = problem.returns * 100, 1.0
    if problem.objective == Objective.MINIMIZE_VARIANCE:
        objective, scale = cp.sum_squares((returns - returns.mean(axis=0)) @ weights), 100**2
        scale *= len(returns) - 1
    elif problem.objective == Objective.MAXIMIZE_RETURN:
        objective, scale = -returns.mean(axis=0) @ weights, 100
    else:
        level = cp.Variable()
        tail = problem.constraints.cvar_confidence * len(returns)
        objective, scale = level + cp.sum(cp.pos(-returns @ weights - level)) / tail, 100
    model = cp.Problem(cp.Minimize(objective), bounds + constrain(problem, weights))
    return float(model.solve(solver=cp.CLARABEL)) / scale


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_model_written_out(make_problem: Any, objective: Any, case: Any) -> None:
    constraints, constrain = CASES[case]
    problem = make_problem(8, 504, objective, max_weight=0.6, **constraints)
    solution: Any = solve(problem)
    ours = float(measures.cost_function(problem)(solution.weights))
    assert ours == pytest.approx(reference(problem, constrain), rel=1e-6)
    assert solution.max_violation <= 1e-9
    assert solution.optimality_gap <= 1e-8


@pytest.mark.parametrize("objective", [Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_SORTINO])
@pytest.mark.parametrize("case", CASES)
def test_no_neighbour_has_a_better_ratio(make_problem: Any, objective: Any, case: Any) -> None:
    problem = make_problem(8, 504, objective, max_weight=0.6, **CASES[case][0])
    solution: Any = solve(problem)
    cost, best = measures.cost_function(problem), np.inf
    for weights in sampled_neighbours(problem, solution.weights):
        best = min(best, float(cost(weights)))
    ours = float(cost(solution.weights))
    assert ours <= best + 1e-9 * abs(ours)
    assert solution.max_violation <= 1e-9
    assert solution.optimality_gap <= 1e-8


def sampled_neighbours(problem: Problem, weights: np.ndarray) -> Any:
    """Feasible portfolios on the way to other optima of the same constraints."""
    for objective in OBJECTIVES:
        other = solve(
            Problem(
                returns=problem.returns,
                symbols=problem.symbols,
                objective=objective,
                constraints=problem.constraints,
            )
        ).weights
        for share in (1e-4, 1e-2, 0.3, 1.0):
            yield weights + share * (other - weights)


def test_trading_costs_are_taken_from_every_figure(make_problem: Any) -> None:
    free = make_problem(8, 504, Objective.MAXIMIZE_RETURN, max_weight=0.6, current_weights=CURRENT)
    costly = make_problem(
        8,
        504,
        Objective.MAXIMIZE_RETURN,
        max_weight=0.6,
        current_weights=CURRENT,
        transaction_costs=0.01,
    )
    solution: Any = solve(costly)
    traded = np.abs(solution.weights - vector(costly, CURRENT)).sum()
    gross = YEAR * costly.returns.mean(axis=0) @ solution.weights
    assert solution.metrics["expected_return"] == pytest.approx(gross - 0.01 * traded, rel=1e-9)
    assert solution.metrics["expected_return"] < figures(free)["expected_return"]
    assert solution.optimality_gap <= 1e-8


def test_prohibitive_costs_keep_the_current_weights(make_problem: Any) -> None:
    problem = make_problem(
        8,
        504,
        Objective.MAXIMIZE_RETURN,
        current_weights=CURRENT,
        transaction_costs=dict.fromkeys(
            ("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ"), 1.0
        ),
    )
    assert solve(problem).weights == pytest.approx(vector(problem, CURRENT), abs=1e-9)


@pytest.mark.parametrize(
    ("constraints", "field"),
    [
        ({"max_turnover": 0.5}, "constraints.current_weights"),
        ({"max_tracking_error": 0.1}, "constraints.benchmark_weights"),
        ({"max_assets": 0}, "constraints.max_assets"),
        ({"min_position": -0.1}, "constraints.min_position"),
        ({"max_leverage": float("nan")}, "constraints.max_leverage"),
        ({"transaction_costs": -0.1}, "constraints.transaction_costs"),
        ({"groups": (Group(name="g", symbols=()),)}, "constraints.groups[0]"),
        (
            {"groups": (Group(name="g", symbols=("A",), min_weight=0.5, max_weight=0.4),)},
            "constraints.groups[0]",
        ),
        ({"asset_bounds": {"AAPL": AssetBounds(min_weight=-0.1)}}, "constraints.long_only"),
        (
            {"asset_bounds": {"AAPL": AssetBounds(min_weight=0.6, max_weight=0.5)}},
            "constraints.asset_bounds.AAPL",
        ),
        ({"current_weights": {"NONE": 1.0}}, "constraints.current_weights.NONE"),
        ({"groups": (Group(name="g", symbols=("NONE",)),)}, "constraints.groups[0].symbols"),
    ],
)
def test_malformed_constraints_name_their_field(
    make_problem: Any, constraints: Any, field: Any
) -> None:
    with pytest.raises(InvalidProblemError) as caught:
        make_problem(3, 252, **constraints)
    assert field in caught.value.fields


@pytest.mark.parametrize("objective", [*OBJECTIVES, Objective.MAXIMIZE_SHARPE])
def test_no_tracking_error_over_two_periods_is_kept_exactly(objective: Objective) -> None:
    """The benchmark's returns in both periods are two equations; the rest is free."""
    rng = np.random.default_rng(11)
    symbols = tuple(f"S{asset:02d}" for asset in range(28))
    benchmark = dict(zip(symbols, rng.dirichlet(np.ones(28)).tolist(), strict=True))
    problem = Problem(
        returns=rng.normal(0.002, 0.02, (2, 28)),
        symbols=symbols,
        objective=objective,
        constraints=Constraints(benchmark_weights=benchmark, max_tracking_error=0.0),
    )
    solution: Any = solve(problem)
    away = np.diff(problem.returns @ (solution.weights - vector(problem, benchmark)))
    assert solution.max_violation <= 1e-9
    assert away == pytest.approx([0.0], abs=1e-12)

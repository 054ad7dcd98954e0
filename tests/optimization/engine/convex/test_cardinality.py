"""Few assets and smallest positions, against every subset there is."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from optimization.engine import AssetBounds, Constraints, Objective, Problem, measures, solve
from optimization.engine.errors import (
    InfeasibleProblemError,
    NoExcessReturnError,
    SolveCancelledError,
    UnboundedProblemError,
)

OBJECTIVES = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
    Objective.MAXIMIZE_RETURN,
)


def best_of_all_subsets(problem: Problem) -> float:
    """Hold each subset at no less than min_position, exactly, and take the best."""
    constraints, n = problem.constraints, problem.n_assets
    cost, best = measures.cost_function(problem), np.inf
    for count in range(1, (constraints.max_assets or n) + 1):
        for subset in itertools.combinations(range(n), count):
            symbols = tuple(problem.symbols[asset] for asset in subset)
            part = Problem(
                returns=problem.returns[:, subset],
                symbols=symbols,
                objective=problem.objective,
                constraints=dataclasses.replace(
                    constraints,
                    max_assets=None,
                    min_position=None,
                    min_weight=constraints.min_position,
                ),
            )
            try:
                weights = np.zeros(n)
                weights[list(subset)] = solve(part).weights
            except (InfeasibleProblemError, NoExcessReturnError):
                continue
            best = min(best, float(cost(weights)))
    return best


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "constraints",
    [
        {"max_assets": 3, "max_weight": 0.6},
        {"min_position": 0.15, "max_weight": 0.5},
        {"max_assets": 4, "min_position": 0.2},
    ],
)
def test_no_subset_is_better(make_problem: Any, objective: Any, constraints: Any) -> None:
    problem = make_problem(6, 252, objective, **constraints)
    solution: Any = solve(problem)
    best = best_of_all_subsets(problem)
    assert float(measures.cost_function(problem)(solution.weights)) == pytest.approx(best, rel=1e-9)
    held = solution.weights[solution.weights > 1e-9]
    assert len(held) <= constraints.get("max_assets", 6)
    assert held.min() >= constraints.get("min_position", 0) - 1e-9
    assert solution.optimality_gap <= 1e-8
    assert solution.max_violation <= 1e-9
    assert solution.diagnostics["stopped_by"] == "optimal"


def test_short_positions_count_too(make_problem: Any) -> None:
    problem = make_problem(
        6,
        252,
        Objective.MINIMIZE_VARIANCE,
        long_only=False,
        max_weight=0.8,
        max_assets=3,
        min_position=0.1,
    )
    solution: Any = solve(problem)
    held = np.abs(solution.weights[np.abs(solution.weights) > 1e-9])
    assert len(held) <= 3
    assert held.min() >= 0.1 - 1e-9
    assert solution.optimality_gap <= 1e-8


def test_too_few_assets_for_the_budget_are_named(make_problem: Any) -> None:
    with pytest.raises(InfeasibleProblemError, match="raise max_assets to 3") as caught:
        solve(make_problem(6, 252, max_assets=2, max_weight=0.4))
    assert "constraints.max_assets" in caught.value.fields


def test_more_required_positions_than_allowed_are_named(make_problem: Any) -> None:
    bounds = {symbol: AssetBounds(min_weight=0.1) for symbol in ("AAPL", "AMD", "BAC")}
    with pytest.raises(InfeasibleProblemError, match="holds 3 assets and max_assets is 2"):
        solve(make_problem(6, 252, max_assets=2, asset_bounds=bounds))


@pytest.mark.parametrize("end", [1, -1])
def test_bounds_that_hold_less_than_a_position_may_be_are_named(
    make_problem: Any, end: int
) -> None:
    ends = sorted((0.05 * end, 0.03 * end))
    bounds = {"AMD": AssetBounds(min_weight=ends[0], max_weight=ends[1])}
    problem = make_problem(
        6, 252, long_only=False, min_position=0.1, asset_bounds=bounds, target_volatility=0.5
    )
    with pytest.raises(
        InfeasibleProblemError, match=r"AMD hold it at no more than 0\.05"
    ) as caught:
        solve(problem)
    own = "constraints.asset_bounds.AMD"
    fields = ("constraints.min_position", f"{own}.min_weight", f"{own}.max_weight")
    assert caught.value.fields == fields


def test_a_smallest_weight_of_all_is_named_where_it_holds_less_than_a_position_may_be(
    make_problem: Any,
) -> None:
    bounds = {"AMD": AssetBounds(max_weight=0.05)}
    problem = make_problem(6, 252, min_weight=0.01, min_position=0.1, asset_bounds=bounds)
    with pytest.raises(InfeasibleProblemError) as caught:
        solve(problem)
    assert caught.value.fields == (
        "constraints.min_position",
        "constraints.min_weight",
        "constraints.asset_bounds.AMD.max_weight",
    )


def test_assets_that_the_bounds_hold_are_no_branch_of_the_search(make_problem: Any) -> None:
    """With every asset held either way, the first relaxation is the answer."""
    symbols = make_problem(6, 252).symbols
    bounds = {symbol: AssetBounds(min_weight=0.01) for symbol in symbols}
    problem = make_problem(
        6, 252, Objective.MINIMIZE_VARIANCE, min_position=0.1, asset_bounds=bounds
    )
    solution: Any = solve(problem)
    alike: Any = solve(make_problem(6, 252, Objective.MINIMIZE_VARIANCE, min_weight=0.1))
    assert solution.weights == pytest.approx(alike.weights, abs=1e-9)
    assert solution.diagnostics["nodes"] <= 2


def test_an_interrupted_search_knows_its_gap(make_problem: Any) -> None:
    problem = make_problem(20, 1260, Objective.MINIMIZE_VARIANCE, min_position=0.13)
    solution: Any = solve(problem, parameters={"time_limit": 1e-6})
    finished: Any = solve(problem, parameters={"time_limit": 60})
    cost = measures.cost_function(problem)
    ours, exact = float(cost(solution.weights)), float(cost(finished.weights))
    assert solution.diagnostics["stopped_by"] == "time_limit"
    assert solution.optimality_gap > 0
    assert ours * (1 - solution.optimality_gap) <= exact * (1 + 1e-9) <= ours * (1 + 2e-9)


def test_progress_can_stop_the_search(make_problem: Any) -> None:
    def stop(progress: Any) -> None:
        assert progress.bound <= progress.best_value
        raise SolveCancelledError("enough")

    problem = make_problem(20, 252, Objective.MINIMIZE_MAD, min_position=0.13)
    with pytest.raises(SolveCancelledError):
        solve(problem, on_progress=stop)


@pytest.mark.parametrize("objective", [Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_SORTINO])
def test_a_hedge_of_more_assets_than_allowed_makes_no_ratio_endless(objective: Any) -> None:
    rng = np.random.default_rng(5)
    gain, swing = 0.001, rng.normal(0, 0.01, 252)
    swing -= swing.mean()
    alone = rng.normal(0.0008, 0.01, (252, 2))
    problem = Problem(
        returns=np.column_stack([gain + swing, gain - swing, alone]),
        symbols=("A", "B", "C", "D"),
        objective=objective,
        constraints=Constraints(max_assets=1),
    )
    solution = solve(problem)
    cost = measures.cost_function(problem)
    assert float(cost(solution.weights)) == pytest.approx(min(map(float, map(cost, np.eye(4)))))
    endless = dataclasses.replace(problem, constraints=Constraints(max_assets=2))
    with pytest.raises(UnboundedProblemError):
        solve(endless)

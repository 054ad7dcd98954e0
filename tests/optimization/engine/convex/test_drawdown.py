"""Drawdowns by cutting planes, against the whole linear programme."""

from typing import Any

import daqp
import numpy as np
import pytest

from optimization.engine import Constraints, Objective, Problem, measures, solve
from optimization.engine.convex import cuts, drawdown
from optimization.engine.convex.instance import instance_of
from optimization.engine.errors import SolverFailureError
from tests.optimization.engine.convex.linear_reference import (
    CASES,
    SHAPES,
    check_against_linprog,
    draw,
    problem_in,
)

OBJECTIVES = (Objective.MINIMIZE_CDAR, Objective.MINIMIZE_MAX_DRAWDOWN)
SOLVERS = {"few assets": "daqp", "fewer periods than assets": "daqp", "many assets": "highs"}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_least_drawdown_is_the_whole_programmes(shape: str, case: str, objective: Any) -> None:
    check_against_linprog(problem_in(case, shape, objective), {SOLVERS[shape]})


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_portfolio_that_only_rises_has_no_drawdown(objective: Any) -> None:
    returns = np.abs(draw(np.random.default_rng(3), 4, 60))
    solution = solve(Problem(returns=returns, symbols=tuple("ABCD"), objective=objective))
    assert solution.optimality_gap == 0.0
    assert solution.weights.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_portfolio_that_only_falls_is_measured_from_its_start(objective: Any) -> None:
    returns = -np.abs(draw(np.random.default_rng(3), 4, 60))
    problem = Problem(
        returns=returns,
        symbols=tuple(f"S{asset}" for asset in range(4)),
        objective=objective,
        constraints=Constraints(max_weight=0.4),
    )
    check_against_linprog(problem, {"daqp"})


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_where_daqp_stops_highs_goes_on_with_the_same_cuts(
    objective: Any, monkeypatch: Any
) -> None:
    problem = problem_in("a cap", "few assets", objective)
    expected = solve(problem)
    solves, real = [], daqp.solve

    def failing(*args: Any, **keywords: Any) -> Any:
        x, value, flag, info = real(*args, **keywords)
        if "eps_prox" in keywords:
            solves.append(flag)
            flag = flag if len(solves) < 3 else -2
        return x, value, flag, info

    monkeypatch.setattr(daqp, "solve", failing)
    solution = solve(problem)
    assert len(solves) == 4  # the third from where the second ended, then from nothing
    assert solution.solver == "highs"
    assert solution.weights == pytest.approx(expected.weights, abs=1e-9)


def test_cuts_without_end_are_a_failure(monkeypatch: Any) -> None:
    monkeypatch.setattr(drawdown, "ROUNDS", 2)
    instance = instance_of(problem_in("a cap", "few assets", Objective.MINIMIZE_CDAR))
    with pytest.raises(SolverFailureError, match="without end"):
        drawdown.minimise_drawdown(instance)


def test_a_start_at_the_optimum_needs_fewer_cuts(make_problem: Any, monkeypatch: Any) -> None:
    problem = make_problem(objective=Objective.MINIMIZE_CDAR, max_weight=0.4)
    instance, solves = instance_of(problem), []
    real = cuts.CutModel.solve

    def counted(model: cuts.CutModel) -> cuts.CutOptimum:
        solves.append(model)
        return real(model)

    monkeypatch.setattr(cuts.CutModel, "solve", counted)
    cold = drawdown.minimise_drawdown(instance)
    rounds = len(solves)
    warm = drawdown.minimise_drawdown(instance, cold.weights)
    assert len(solves) - rounds < rounds
    assert warm.weights == pytest.approx(cold.weights, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_start_that_is_no_longer_feasible_is_not_taken_for_the_best(objective: Any) -> None:
    free = problem_in("short positions", "few assets", objective)
    better = solve(free).weights
    tight = instance_of(problem_in("a cap", "few assets", objective))
    cold, warm = drawdown.minimise_drawdown(tight), drawdown.minimise_drawdown(tight, better)
    assert warm.weights == pytest.approx(cold.weights, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("limits", [{"max_leverage": 1.4}, {"max_turnover": 0.6}])
def test_limits_on_trades_and_leverage_need_no_cvxpy(
    make_problem: Any, objective: Any, limits: Any
) -> None:
    held = {"current_weights": {"AAPL": 0.6, "AMD": 0.4}} if "max_turnover" in limits else {}
    problem = make_problem(8, 252, objective, long_only=False, **held, **limits)
    ours, theirs = solve(problem), solve(problem, parameters={"solver": "general"})
    cost = measures.cost_function(problem)
    assert ours.solver == "daqp"
    assert ours.max_violation <= 1e-9
    assert float(cost(ours.weights)) == pytest.approx(float(cost(theirs.weights)), rel=1e-9)


@pytest.mark.parametrize(
    ("seed", "periods", "n"), [(1, 250, 2), (52, 250, 3), (0, 250, 8), (25, 500, 5), (14, 500, 15)]
)
def test_what_daqp_finds_is_proven(seed: int, periods: int, n: int) -> None:
    """Its multipliers settle later than its weights, and they are the proof."""
    problem = Problem(
        returns=draw(np.random.default_rng([seed, periods, n]), n, periods),
        symbols=tuple(f"S{asset}" for asset in range(n)),
        objective=Objective.MINIMIZE_CDAR,
        constraints=Constraints(max_weight=max(0.4, 1.2 / n)),
    )
    check_against_linprog(problem, {"daqp"})

"""Drawdowns by cutting planes, against the whole linear programme."""

from dataclasses import replace
from typing import Any

import daqp
import numpy as np
import pytest

from optimization.engine import Constraints, Objective, Problem, measures, solve
from optimization.engine.convex import cut_model, drawdown
from optimization.engine.convex.cuts import CutOptimum
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


@pytest.mark.parametrize("solver", ["daqp", "highs"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_least_drawdown_is_the_whole_programmes(
    shape: str, case: str, objective: Any, solver: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(cut_model, "DENSE", cut_model.DENSE if solver == "daqp" else 0)
    check_against_linprog(problem_in(case, shape, objective), {solver})


@pytest.mark.parametrize("solver", ["daqp", "highs"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", ["a cap", "smallest weights", "groups", "a target return"])
def test_assets_that_were_left_out_join_where_they_are_needed(
    case: str, objective: Any, solver: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(cut_model, "DENSE", cut_model.DENSE if solver == "daqp" else 0)
    problem = problem_in(case, "many assets", objective)
    expected = drawdown.minimise_drawdown(instance_of(problem)).weights
    joined, real = [], cut_model.CutModel.join

    def counted(model: cut_model.CutModel) -> bool:
        joined.append(real(model))
        return joined[-1]

    monkeypatch.setattr(cut_model.CutModel, "join", counted)
    monkeypatch.setattr(cut_model, "JOIN", 2)
    monkeypatch.setattr(drawdown, "FIRST_ASSETS", 1)
    found = drawdown.minimise_drawdown(instance_of(problem)).weights
    assert any(joined)
    assert found == pytest.approx(expected, abs=1e-9)


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


@pytest.fixture
def rounds(monkeypatch: Any) -> list[int]:
    """An entry for every linear programme over cuts: how many of them there were."""
    solves: list[int] = []
    real = cut_model.CutModel.solve

    def counted(model: cut_model.CutModel) -> CutOptimum:
        solves.append(len(solves) + 1)
        return real(model)

    monkeypatch.setattr(cut_model.CutModel, "solve", counted)
    return solves


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("shape", ["few assets", "many assets"])
@pytest.mark.parametrize("case", ["a cap", "short positions", "groups"])
def test_the_same_window_again_needs_one_round(
    case: str, shape: str, objective: Any, rounds: list[int]
) -> None:
    instance = instance_of(problem_in(case, shape, objective))
    cold = drawdown.minimise_drawdown(instance)
    assert len(rounds) > 2
    rounds.clear()
    warm = drawdown.minimise_drawdown(instance, cold.for_later)
    assert len(rounds) <= 2
    assert warm.weights == pytest.approx(cold.weights, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("shape", ["few assets", "many assets"])
def test_windows_that_move_on_are_solved_from_what_held_the_last(
    shape: str, objective: Any, rounds: list[int]
) -> None:
    problem = problem_in("a cap", shape, objective)
    length = problem.n_observations - 50  # and stretches of a few periods: some of them go by
    windows = [
        instance_of(replace(problem, returns=problem.returns[first : first + length]))
        for first in range(50)
    ]
    cold = [drawdown.minimise_drawdown(window) for window in windows]
    together = len(rounds)
    rounds.clear()
    last = cold[0]
    for window, expected in zip(windows[1:], cold[1:], strict=True):
        last = drawdown.minimise_drawdown(window, last.for_later)
        assert last.weights == pytest.approx(expected.weights, abs=1e-8)
    assert len(rounds) < together / 3


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_programme_but_the_first_begins_without_an_active_set(
    objective: Any, monkeypatch: Any
) -> None:
    begun, real = [], daqp.solve

    def recorded(*args: Any, **keywords: Any) -> Any:
        if "eps_prox" in keywords:
            begun.append("dual_start" in keywords)
        return real(*args, **keywords)

    monkeypatch.setattr(daqp, "solve", recorded)
    monkeypatch.setattr(drawdown, "FIRST_ASSETS", 1)
    monkeypatch.setattr(drawdown, "OTHER_ASSETS", 1)
    problem = problem_in("a cap", "many assets", objective)
    first = instance_of(replace(problem, returns=problem.returns[:-1]))
    cold = drawdown.minimise_drawdown(first)
    assert begun[0] is False
    assert all(begun[1:])
    begun.clear()
    second = instance_of(replace(problem, returns=problem.returns[1:]))
    drawdown.minimise_drawdown(second, cold.for_later)
    assert all(begun)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_held_another_market_does_no_harm(seed: int, objective: Any) -> None:
    problem = problem_in("a cap", "few assets", objective)
    returns, n = problem.returns, problem.n_assets
    others = draw(np.random.default_rng(seed), n, len(returns)), returns[: len(returns) // 2]
    cold = drawdown.minimise_drawdown(instance_of(problem))
    for other in others:
        start = drawdown.minimise_drawdown(instance_of(replace(problem, returns=other)))
        warm = drawdown.minimise_drawdown(instance_of(problem), start.for_later)
        assert warm.weights == pytest.approx(cold.weights, abs=1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_start_that_is_no_longer_feasible_is_not_taken_for_the_best(objective: Any) -> None:
    free = problem_in("short positions", "few assets", objective)
    better = drawdown.minimise_drawdown(instance_of(free)).for_later
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

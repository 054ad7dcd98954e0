"""A session's answers are those of solving each window from nothing."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from optimization.engine import Constraints, Objective, Problem, Session, WarmStarts, solve
from optimization.engine.convex import fast, paths
from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.fast import COLD
from optimization.engine.errors import InvalidProblemError
from optimization.engine.session import REFRESH

WARM = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
    Objective.MAXIMIZE_UTILITY,
    Objective.MAXIMIZE_DIVERSIFICATION,
    Objective.MINIMIZE_MAD,
    Objective.MINIMIZE_CDAR,
    Objective.MINIMIZE_MAX_DRAWDOWN,
    Objective.RISK_PARITY,
)


def window(sp500: Any, start: int, periods: int, template: Problem) -> Problem:
    return Problem(
        returns=sp500.iloc[start : start + periods, : template.n_assets].to_numpy(),
        symbols=template.symbols,
        objective=template.objective,
        constraints=template.constraints,
        risk_free_rate=template.risk_free_rate,
    )


@pytest.mark.parametrize("objective", WARM)
@pytest.mark.parametrize("constraints", [{}, {"sum_to_one": False}, {"long_only": False}])
def test_every_row_gives_the_answer_of_a_fresh_solve(
    sp500: Any, make_problem: Any, objective: Any, constraints: Any
) -> None:
    bounds = {} if objective == Objective.RISK_PARITY else {"max_weight": 0.4}
    template = make_problem(10, 252, objective, risk_free_rate=0.01, **bounds, **constraints)
    session = Session(window(sp500, 1000, 252, template))
    session.solve()
    for step in range(1, 8):
        warm: Any = session.update(sp500.iloc[1252 + step - 1, :10].to_numpy())
        cold: Any = solve(window(sp500, 1000 + step, 252, template))
        assert warm.weights == pytest.approx(cold.weights, abs=1e-8)
        for name, figure in cold.metrics.items():  # a ratio without risk is None in both
            assert warm.metrics[name] == (figure and pytest.approx(figure, rel=1e-7))
        assert warm.optimality_gap <= 1e-8
        assert warm.max_violation <= 1e-9


@pytest.mark.parametrize("objective", WARM[:5])
def test_a_row_that_dwarfs_the_others_leaves_no_trace(
    sp500: Any, make_problem: Any, objective: Any
) -> None:
    template = make_problem(10, 252, objective, max_weight=0.4)
    first = window(sp500, 1000, 252, template)
    returns = first.returns.copy()
    returns[3] *= 1e9
    session = Session(dataclasses.replace(first, returns=returns))
    for step in range(5):
        session.append(sp500.iloc[1252 + step, :10].to_numpy())
    warm: Any = session.solve()
    cold: Any = solve(window(sp500, 1005, 252, template))
    assert warm.weights == pytest.approx(cold.weights, abs=1e-8)
    assert warm.metrics == pytest.approx(cold.metrics, rel=1e-7)
    assert warm.optimality_gap <= 1e-8


@pytest.mark.parametrize(
    "limits",
    [
        {"max_tracking_error": 0.06, "benchmark_weights": {"AAPL": 1.0}},
        {"target_volatility": 0.2},
        {"max_tracking_error": 0.0, "benchmark_weights": {"AAPL": 0.5, "GE": 0.5}},
    ],
)
@pytest.mark.parametrize("objective", [Objective.MINIMIZE_CVAR, Objective.MAXIMIZE_SHARPE])
def test_limits_on_a_deviation_hold_in_every_window(
    sp500: Any, make_problem: Any, objective: Any, limits: Any
) -> None:
    template = make_problem(6, 252, objective, **limits)
    session = Session(window(sp500, 5000, 252, template))
    session.solve()
    warm: Any = session.update(sp500.iloc[5252, :6].to_numpy())
    cold: Any = solve(window(sp500, 5001, 252, template))
    assert warm.weights == pytest.approx(cold.weights, abs=1e-8)
    assert warm.max_violation <= 1e-9
    assert warm.optimality_gap <= 1e-8


def test_a_window_may_move_further_than_its_own_length(sp500: Any, make_problem: Any) -> None:
    template = make_problem(3, 30, Objective.MINIMIZE_VARIANCE)
    session = Session(window(sp500, 0, 30, template))
    for step in range(2 * REFRESH):
        session.append(sp500.iloc[30 + step, :3].to_numpy())
        if step % 100 == 0:
            session.solve()
    assert session.problem.returns == pytest.approx(
        sp500.iloc[2 * REFRESH : 2 * REFRESH + 30, :3].to_numpy(), abs=0
    )
    fresh: Any = solve(window(sp500, 2 * REFRESH, 30, template))
    assert session.solve().weights == pytest.approx(fresh.weights, abs=1e-10)


def test_a_solution_describes_its_own_window_however_late(sp500: Any, make_problem: Any) -> None:
    template = make_problem(3, 30, Objective.MINIMIZE_CVAR)
    session = Session(window(sp500, 0, 30, template))
    late = session.solve()
    for step in range(70):
        session.update(sp500.iloc[30 + step, :3].to_numpy())
    expected: Any = solve(window(sp500, 0, 30, template)).metrics
    assert late.metrics == {name: pytest.approx(value) for name, value in expected.items()}


@pytest.mark.parametrize("objective", WARM)
def test_a_warm_start_gives_the_answer_of_a_cold_one(
    sp500: Any, make_problem: Any, objective: Any
) -> None:
    bounds = {} if objective == Objective.RISK_PARITY else {"max_weight": 0.4}
    template = make_problem(20, 504, objective, **bounds)
    starts = WarmStarts(2)
    leaves_something = objective not in (Objective.MAXIMIZE_RETURN, Objective.RISK_PARITY)
    for step in (0, 1, 2, 30):
        moved = window(sp500, 1000 + step, 504, template)
        warm: Any = starts.solve("portfolio", moved)
        assert warm.diagnostics["warm_start"] is (leaves_something and step > 0)
        assert warm.weights == pytest.approx(solve(moved).weights, abs=1e-9)
        assert warm.optimality_gap <= 1e-8
        assert warm.max_violation <= 1e-9


@pytest.mark.parametrize("objective", WARM[:5])
def test_a_warm_start_of_another_size_is_left_alone(make_problem: Any, objective: Any) -> None:
    starts = WarmStarts(2)
    for n, periods in ((20, 504), (20, 500), (12, 500)):
        problem = make_problem(n, periods, objective, max_weight=0.4)
        warm = starts.solve("portfolio", problem).weights
        assert warm == pytest.approx(solve(problem).weights, abs=1e-9)


def test_only_so_many_warm_starts_are_kept(make_problem: Any) -> None:
    starts = WarmStarts(2)
    for key in "abcab":
        starts.solve(key, make_problem(3, 100))
    assert len(starts) == 2


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_SHARPE])
def test_a_working_set_without_a_portfolio_is_chosen_again(objective: Any) -> None:
    returns = np.random.default_rng(5).normal(0.001, 0.01, (300, 80))
    starts = WarmStarts(1)
    for most in (0.5, 0.02):  # what held the first cannot fill the second
        problem = Problem(
            returns=returns,
            symbols=tuple(f"S{asset}" for asset in range(80)),
            objective=objective,
            constraints=Constraints(max_weight=most),
        )
        warm = starts.solve("portfolio", problem)
        assert warm.solver == "daqp"
        assert warm.weights == pytest.approx(solve(problem).weights, abs=1e-9)


def test_a_short_window_still_shrinks_the_covariance(make_problem: Any, sp500: Any) -> None:
    template = make_problem(20, 30, Objective.MINIMIZE_VARIANCE)
    session = Session(template)
    assert session.update(sp500.iloc[0].to_numpy()).covariance == "ledoit_wolf"


@pytest.mark.parametrize("row", [np.zeros(3), np.array([0.1, np.nan]), np.array([np.inf, 0])])
def test_a_bad_row_is_refused_and_the_window_stays(make_problem: Any, row: Any) -> None:
    session = Session(make_problem(2, 30))
    before = session.problem.returns.copy()
    with pytest.raises(InvalidProblemError, match="2 finite numbers"):
        session.append(row)
    assert (session.problem.returns == before).all()


def test_a_start_that_misleads_is_given_up_before_the_general_path_is_asked(
    make_problem: Any, sp500: Any, monkeypatch: Any
) -> None:
    problem = make_problem(8, 252, Objective.MINIMIZE_CDAR)
    session, begun = Session(problem), []
    session.solve()
    real = fast.solve_fast

    def misled(instance: Any, warm: Any) -> Any:
        outcome = real(instance, warm)
        begun.append(warm is COLD)
        if warm is COLD:
            return outcome
        return dataclasses.replace(outcome, weights=np.full(8, 1 / 8), evidence=Evidence())

    monkeypatch.setattr(paths, "solve_fast", misled)
    found = session.update(sp500.iloc[1000, :8].to_numpy())
    assert begun == [False, True]
    assert found.solver == "daqp"
    assert found.optimality_gap is not None
    assert found.optimality_gap <= 1e-8


@pytest.mark.parametrize("limit", ["target_volatility", "max_tracking_error"])
def test_where_nothing_moves_nothing_deviates(limit: str) -> None:
    limits: dict[str, Any] = {limit: 0.0}
    constraints = Constraints(**limits, max_weight=0.6, benchmark_weights={"A": 1.0})
    problem = Problem(returns=np.zeros((30, 2)), symbols=("A", "B"), constraints=constraints)
    problem = dataclasses.replace(problem, objective=Objective.MINIMIZE_MAX_DRAWDOWN)
    found = Session(problem).solve()
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.max_violation <= 1e-9


@pytest.mark.parametrize(
    "objective",
    [Objective.MINIMIZE_CVAR, Objective.MINIMIZE_MAD, Objective.MINIMIZE_CDAR],
)
def test_the_window_after_one_in_which_cash_is_best_is_solved_as_any(objective: Any) -> None:
    """Of many assets, of which none was held, the next window may need some."""
    rng = np.random.default_rng(5)
    returns = 0.01 * rng.standard_normal((120, 70))
    returns[-20:] = 0.01 + 0.001 * rng.standard_normal((20, 70))
    returns[:100] -= returns[:100].mean(axis=0) + 0.01
    problem = Problem(
        returns=returns[:100],
        symbols=tuple(f"S{asset}" for asset in range(70)),
        objective=objective,
        constraints=Constraints(sum_to_one=False, max_weight=0.1),
    )
    session = Session(problem)
    assert session.solve().weights == pytest.approx(np.zeros(70), abs=1e-9)
    for row in returns[100:]:
        warm = session.update(row)
        cold = solve(session.problem)
        assert warm.weights == pytest.approx(cold.weights, abs=1e-8)

"""The small parts of the core."""

import numpy as np
import pytest

from optimization.engine.heuristics.budget import Budget
from optimization.engine.heuristics.landscape import in_metric
from optimization.engine.heuristics.search import Stall, relative_gap
from optimization.engine.problem import Objective


@pytest.mark.parametrize(
    ("cost", "bound", "gap"),
    [(1.1, 1.0, 0.1), (-0.9, -1.0, 0.1), (0.999, 1.0, 0.0), (1.0, None, None), (1.0, 0.0, None)],
)
def test_the_gap_is_relative_to_the_bound(
    cost: float, bound: float | None, gap: float | None
) -> None:
    assert relative_gap(cost, bound) == (None if gap is None else pytest.approx(gap))


def test_a_search_without_a_portfolio_has_no_gap() -> None:
    assert relative_gap(np.inf, 1.0) is None


def test_a_stall_is_fifty_iterations_without_improvement() -> None:
    stall = Stall()
    assert not any(stall.is_over(1.0) for _ in range(50))
    assert stall.is_over(1.0)
    assert not stall.is_over(2.0)


def test_improvement_puts_a_stall_off() -> None:
    stall = Stall()
    assert not any(stall.is_over(1.0 - 0.001 * step) for step in range(200))


def test_what_a_request_leaves_out_is_the_solvers_choice() -> None:
    budget = Budget.of({"iterations": 7}, population=30, iterations=100)
    assert (budget.population, budget.iterations, budget.evaluations) == (30, 7, None)


@pytest.mark.parametrize(
    ("objective", "cost", "figure"),
    [
        (Objective.MINIMIZE_VARIANCE, 0.0001, np.sqrt(0.0252)),
        (Objective.MAXIMIZE_SHARPE, -0.1, 0.1 * np.sqrt(252)),
        (Objective.MAXIMIZE_RETURN, -0.001, 0.252),
        (Objective.MINIMIZE_CVAR, 0.02, 0.02),
        (Objective.MAXIMIZE_OMEGA, -1.2, 1.2),
        (Objective.MAXIMIZE_CALMAR, -0.01, 2.52),
    ],
)
def test_costs_are_reported_as_the_annual_figures(
    objective: Objective, cost: float, figure: float
) -> None:
    assert in_metric(objective, cost) == pytest.approx(figure)

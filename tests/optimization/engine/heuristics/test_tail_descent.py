"""The descent to a local optimum of value at risk."""

import numpy as np
import pytest
from scipy.optimize import linprog

from optimization.engine.feasible import FeasibleSet
from optimization.engine.heuristics.tail_descent import descend
from optimization.engine.measures import value_at_risk
from optimization.engine.problem import Constraints, FloatArray, Objective
from tests.optimization.engine.heuristics.conftest import ProblemOf, SolveWith

TAIL = 0.05
FEASIBLE = 1e-9


def _least_largest_loss(returns: FloatArray, cap: float) -> float:
    days, n = returns.shape
    found = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.hstack([-returns, -np.ones((days, 1))]),
        b_ub=np.zeros(days),
        A_eq=[np.r_[np.ones(n), 0.0]],
        b_eq=[1.0],
        bounds=[(0.0, cap)] * n + [(None, None)],
    )
    return float(found.fun)


@pytest.mark.parametrize("seed", range(6))
def test_it_ends_where_the_other_days_cannot_lose_less(problem_of: ProblemOf, seed: int) -> None:
    problem = problem_of(8, 252, constraints=Constraints(max_weight=0.5))
    feasible = FeasibleSet.of(problem)
    start = np.random.default_rng(seed).dirichlet(np.ones(8)) * 0.5 + 0.5 / 8
    end = descend(problem.returns, TAIL, feasible, start)
    before, after = (float(value_at_risk(w, problem.returns, TAIL)) for w in (start, end))
    assert after < before
    assert feasible.violation(end) <= FEASIBLE
    beyond = int(TAIL * 252)
    kept = problem.returns[np.argsort(problem.returns @ end)[beyond:]]
    assert after == pytest.approx(_least_largest_loss(kept, 0.5), rel=1e-8)


def test_a_tail_of_no_day_is_the_least_largest_loss(problem_of: ProblemOf) -> None:
    problem = problem_of(8, 252, constraints=Constraints(max_weight=0.5))
    end = descend(problem.returns, 1e-3, FeasibleSet.of(problem), np.full(8, 1 / 8))
    worst = float(-(problem.returns @ end).min())
    assert worst == pytest.approx(_least_largest_loss(problem.returns, 0.5), rel=1e-8)


def test_every_search_ends_at_such_a_portfolio_and_says_so(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    problem = problem_of(12, 252, Objective.MINIMIZE_VALUE_AT_RISK)
    solution = solve_with(problem, iterations=60)
    again = descend(problem.returns, TAIL, FeasibleSet.of(problem), solution.weights)
    reached, further = (
        float(value_at_risk(w, problem.returns, TAIL)) for w in (solution.weights, again)
    )
    assert further == pytest.approx(reached, rel=1e-9)
    assert "linear programmes" in solution.diagnostics["finished_by"]


def test_a_search_among_few_assets_is_not_finished_so(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    limits = Constraints(max_assets=3)
    solution = solve_with(
        problem_of(8, 252, Objective.MINIMIZE_VALUE_AT_RISK, limits), iterations=20
    )
    assert "finished_by" not in solution.diagnostics

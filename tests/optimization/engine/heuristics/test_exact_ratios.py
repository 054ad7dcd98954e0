"""The exact optimum of Omega and Calmar, against optimisers of another kind."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import differential_evolution, linprog

from optimization.engine.errors import NoExcessReturnError, UnboundedProblemError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.heuristics.exact_ratios import EXACT_RATIOS, ExactRatio
from optimization.engine.measures import cost_function
from optimization.engine.problem import TRADING_DAYS, Constraints, FloatArray, Objective, Problem
from tests.optimization.engine.heuristics.conftest import ProblemOf, SolveWith

# Relative distance of the bound to what the other optimiser reaches.
OMEGA_PRECISION = 1e-8
CALMAR_PRECISION = 1e-6

# Relative distance of the best portfolio found to the bound.
SETTLED = 1e-7

FEASIBLE = 1e-9


def _exact(problem: Problem) -> ExactRatio:
    equal = np.full(problem.n_assets, 1.0 / problem.n_assets)
    return EXACT_RATIOS[problem.objective](problem, FeasibleSet.of(problem), equal)


def _greatest_omega(excess: FloatArray, cap: float) -> float:
    """One linear programme: y = κw and the shortfall of every period, at a mean excess of one."""
    days, n = excess.shape
    least = np.r_[np.zeros(n + 1), np.full(days, 1.0 / days)]
    short = np.hstack([-excess, np.zeros((days, 1)), -np.eye(days)])
    capped = np.hstack([np.eye(n), np.full((n, 1), -cap), np.zeros((n, days))])
    found = linprog(
        least,
        A_ub=np.vstack([short, capped]),
        b_ub=np.zeros(days + n),
        A_eq=np.vstack(
            [
                np.r_[np.ones(n), -1.0, np.zeros(days)],
                np.r_[excess.mean(axis=0), 0.0, np.zeros(days)],
            ]
        ),
        b_eq=[0.0, 1.0],
    )
    assert found.status == 0, found.message
    return 1.0 + 1.0 / float(found.fun)


@pytest.mark.parametrize(("assets", "days"), [(5, 252), (20, 504)])
@pytest.mark.parametrize("risk_free_rate", [0.0, 0.04])
def test_omega_is_that_of_one_linear_programme(
    problem_of: ProblemOf, assets: int, days: int, risk_free_rate: float
) -> None:
    problem = problem_of(assets, days, Objective.MAXIMIZE_OMEGA, risk_free_rate=risk_free_rate)
    best = _exact(problem)
    reference = _greatest_omega(problem.returns - problem.period_risk_free_rate, 0.4)
    assert -best.bound == pytest.approx(reference, rel=OMEGA_PRECISION)


def _weights(marks: FloatArray) -> FloatArray:
    """Fully invested portfolios, shape (p, n), whose weights lie between marks, (n − 1, p)."""
    ends = np.pad(np.sort(marks, axis=0), ((1, 1), (0, 0)), constant_values=((0, 1), (0, 0)))
    return np.diff(ends, axis=0).T


@pytest.mark.parametrize("start", [0, 300, 600, 750])
def test_calmar_is_what_differential_evolution_finds_for_few_assets(
    problem_of: ProblemOf, start: int
) -> None:
    problem = Problem(
        returns=problem_of(4, 1260).returns[start : start + 90],
        symbols=("A", "B", "C", "D"),
        objective=Objective.MAXIMIZE_CALMAR,
        constraints=Constraints(),
    )
    cost, best = cost_function(problem), _exact(problem)
    assert (best.weights > FEASIBLE).sum() >= 2, "a single asset would be too easy"
    found = differential_evolution(
        lambda marks: cost(_weights(marks)),
        bounds=[(0.0, 1.0)] * 3,
        rng=1,
        vectorized=True,
        updating="deferred",
        popsize=40,
        maxiter=1000,
        tol=1e-12,
        polish=False,
    )
    assert best.bound == pytest.approx(float(found.fun), rel=CALMAR_PRECISION)


LIMITS: dict[str, dict[str, Any]] = {
    "a cap": {"max_weight": 0.4},
    "no cap": {},
    "long and short": {"long_only": False, "max_weight": 0.5},
    "cash": {"sum_to_one": False, "max_weight": 0.4},
    "trading costs": {
        "max_weight": 0.4,
        "transaction_costs": 0.02,
        "current_weights": {"AAPL": 0.4, "AMD": 0.3, "BAC": 0.3},
    },
}


@pytest.mark.parametrize("objective", list(EXACT_RATIOS))
@pytest.mark.parametrize("limits", LIMITS.values(), ids=list(LIMITS))
def test_the_bound_is_reached_and_never_beaten(
    problem_of: ProblemOf, objective: Objective, limits: dict[str, Any]
) -> None:
    problem = problem_of(5, 504, objective, Constraints(**limits))
    best, cost, feasible = _exact(problem), cost_function(problem), FeasibleSet.of(problem)
    reached = float(cost(best.weights))
    assert feasible.violation(best.weights) <= FEASIBLE
    assert best.bound * (1 + 1e-9) <= reached <= best.bound * (1 - SETTLED)
    rng = np.random.default_rng(3)
    others = rng.dirichlet(np.full(5, 0.5), 4000)
    others = others[[feasible.violation(each) <= FEASIBLE for each in others]]
    assert len(others) > 100
    assert float(cost(others).min()) >= best.bound


def test_a_mean_below_the_risk_free_rate_has_no_greatest_omega(problem_of: ProblemOf) -> None:
    problem = problem_of(5, 252, Objective.MAXIMIZE_OMEGA, risk_free_rate=5.0)
    with pytest.raises(NoExcessReturnError):
        _exact(problem)


@pytest.mark.parametrize("objective", list(EXACT_RATIOS))
def test_a_gain_without_a_loss_has_no_greatest_ratio(objective: Objective) -> None:
    rng = np.random.default_rng(0)
    problem = Problem(
        returns=np.column_stack([rng.normal(0, 0.01, 100), np.full(100, 0.02 / TRADING_DAYS)]),
        symbols=("RISKY", "BOND"),
        objective=objective,
        constraints=Constraints(),
    )
    with pytest.raises(UnboundedProblemError):
        _exact(problem)


# Largest relative gap that a search leaves at its default budget.
GAP_OF_FIVE = 1e-3
GAP_OF_TWENTY = 1e-2


@pytest.mark.parametrize("objective", list(EXACT_RATIOS))
@pytest.mark.parametrize(("assets", "gap"), [(5, GAP_OF_FIVE), (20, GAP_OF_TWENTY)])
def test_searches_come_close_to_the_exact_ratio_and_say_how_close(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective, assets: int, gap: float
) -> None:
    problem = problem_of(assets, 504, objective)
    solution = solve_with(problem)
    bound = _exact(problem).bound
    distance = (float(cost_function(problem)(solution.weights)) - bound) / abs(bound)
    assert distance <= gap
    assert solution.optimality_gap == pytest.approx(distance, abs=1e-9)
    assert (
        solution.diagnostics["gap_basis"] == "exact optimum of the same problem by cutting planes"
    )


@pytest.mark.parametrize("objective", list(EXACT_RATIOS))
def test_without_a_greatest_ratio_a_search_answers_and_says_why_there_is_no_gap(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(5, 252, objective)
    falling = replace(problem, returns=problem.returns - 0.01)
    solution = solve_with(falling, iterations=20)
    assert solution.optimality_gap is None
    assert solution.diagnostics["gap_basis"].startswith("no bound: no portfolio")


def test_the_bound_of_few_assets_is_that_of_any_number(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    limits = Constraints(max_weight=0.6, max_assets=2)
    solution = solve_with(problem_of(6, 252, Objective.MAXIMIZE_OMEGA, limits))
    wider = _exact(problem_of(6, 252, Objective.MAXIMIZE_OMEGA, Constraints(max_weight=0.6)))
    assert solution.diagnostics["reference"] == pytest.approx(-wider.bound, rel=1e-12)
    assert "without max_assets" in solution.diagnostics["gap_basis"]

"""What only a search can do, against every possibility of small cases."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.heuristics.holdings import Holdings
from optimization.engine.measures import HELD, cost_function
from optimization.engine.problem import AssetBounds, Constraints, FloatArray, Objective, Problem
from optimization.engine.registry import solve
from tests.optimization.engine.heuristics.conftest import ProblemOf, SolveWith

FEASIBLE = 1e-9

# Largest relative distance to the best of all choices.
PRECISION = 2e-3
VALUE_AT_RISK_PRECISION = 1e-5


def _cost(problem: Problem, weights: FloatArray) -> float:
    return float(cost_function(problem)(weights))


def _best_of_choices(problem: Problem, sizes: range, **constraints: object) -> float:
    """The cheapest of the exact optima over every choice of assets."""
    costs = []
    for size in sizes:
        for choice in combinations(problem.symbols, size):
            left_out = {
                symbol: AssetBounds(max_weight=0.0)
                for symbol in problem.symbols
                if symbol not in choice
            }
            held = Constraints(asset_bounds=left_out, **constraints)  # type: ignore[arg-type]
            part = Problem(
                returns=problem.returns,
                symbols=problem.symbols,
                objective=problem.objective,
                constraints=held,
            )
            try:
                costs.append(_cost(problem, solve(part).weights))
            except InfeasibleProblemError:
                continue
    return min(costs)


def _best_in_lots(problem: Problem, most: int) -> float:
    holdings = Holdings.of(problem)
    assert holdings.lots is not None
    counts = np.array(list(product(range(most + 1), repeat=problem.n_assets)))
    every = counts * holdings.lots
    sums = every.sum(axis=1)
    low, high = holdings.feasible.budget_low, holdings.feasible.budget_high
    allowed = every[
        (every <= holdings.feasible.upper + FEASIBLE).all(axis=1)
        & (sums <= high + FEASIBLE)
        & (sums >= low - FEASIBLE)
        & ((every > 0).sum(axis=1) <= holdings.max_assets)
    ]
    assert len(allowed) > 50
    return float(cost_function(problem)(allowed).min())


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_SHARPE])
def test_few_assets_are_chosen_as_well_as_by_trying_all(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    constraints = Constraints(max_weight=0.6, max_assets=3)
    problem = problem_of(8, 1260, objective, constraints)
    solution = solve_with(problem)
    best = _best_of_choices(problem, range(3, 4), max_weight=0.6)
    assert _cost(problem, solution.weights) <= best + PRECISION * abs(best)
    assert (np.abs(solution.weights) > HELD).sum() <= 3
    assert solution.max_violation <= FEASIBLE


def test_the_gap_of_a_choice_is_to_the_optimum_without_the_choice(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    problem = problem_of(8, 1260, constraints=Constraints(max_assets=3))
    solution = solve_with(problem)
    unlimited = _cost(problem, solve(problem_of(8, 1260, constraints=Constraints())).weights)
    expected = _cost(problem, solution.weights) / unlimited - 1
    assert solution.optimality_gap == pytest.approx(expected, rel=1e-4)
    assert "without max_assets" in solution.diagnostics["gap_basis"]


def test_positions_are_none_or_large_enough(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    constraints = Constraints(max_weight=0.5, min_position=0.15)
    solution = solve_with(problem_of(10, 1260, Objective.MINIMIZE_CVAR, constraints))
    held = solution.weights[solution.weights > HELD]
    assert held.min() >= 0.15 - FEASIBLE
    assert solution.max_violation <= FEASIBLE


@pytest.mark.parametrize(
    "objective",
    [Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_VALUE_AT_RISK, Objective.MAXIMIZE_OMEGA],
)
def test_whole_shares_are_bought_as_well_as_by_trying_all(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    constraints = Constraints(max_weight=0.7, capital=1000, lot_size=1)
    prices = np.array([87.0, 143.0, 61.0, 210.0])
    problem = problem_of(4, 252, objective, constraints, prices=prices)
    solution = solve_with(problem)
    best = _best_in_lots(problem, 11)
    assert _cost(problem, solution.weights) <= best + PRECISION * abs(best)
    shares = np.array(list(solution.diagnostics["shares"].values()))
    assert np.array_equal(shares, np.rint(shares))
    assert float(shares @ prices) + solution.diagnostics["cash"] == pytest.approx(1000)
    assert solution.max_violation <= FEASIBLE


def test_whole_shares_of_few_assets(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    constraints = Constraints(max_weight=0.7, capital=5000, lot_size=5, max_assets=2)
    prices = np.array([87.0, 43.0, 61.0, 110.0])
    problem = problem_of(4, 252, constraints=constraints, prices=prices)
    solution = solve_with(problem)
    best = _best_in_lots(problem, 16)
    assert _cost(problem, solution.weights) <= best + PRECISION * abs(best)
    assert solution.diagnostics["positions"] <= 2


def test_the_bound_of_whole_shares_lies_below_the_best_of_all(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    constraints = Constraints(max_weight=0.7, capital=1000, lot_size=1)
    prices = np.array([87.0, 143.0, 61.0, 210.0])
    problem = problem_of(4, 252, constraints=constraints, prices=prices)
    solution = solve_with(problem)
    assert solution.diagnostics["reference"] is not None
    best = np.sqrt(252 * _best_in_lots(problem, 11))
    assert solution.diagnostics["reference"] <= best


def test_a_fee_is_worth_fewer_positions_as_by_trying_all(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    money = {"capital": 10_000.0, "fixed_fee": 150.0}
    constraints = Constraints(max_weight=0.5, **money)  # type: ignore[arg-type]
    problem = problem_of(6, 1260, Objective.MAXIMIZE_SHARPE, constraints)
    solution = solve_with(problem)
    best = min(
        # With the number of positions given, the fee is a constant; the exact optimum for it is
        # the best Sharpe ratio at a risk-free rate raised by the fee.
        _best_with_fee(problem, size)
        for size in range(2, 7)
    )
    assert _cost(problem, solution.weights) <= best + PRECISION * abs(best)


def _best_with_fee(problem: Problem, size: int) -> float:
    fee = size * 150.0 / 10_000.0
    costs = []
    for choice in combinations(range(problem.n_assets), size):
        part = Problem(
            returns=problem.returns[:, choice],
            symbols=tuple(problem.symbols[asset] for asset in choice),
            objective=Objective.MAXIMIZE_SHARPE,
            constraints=Constraints(max_weight=0.5),
            risk_free_rate=fee,
        )
        weights = np.zeros(problem.n_assets)
        try:
            weights[list(choice)] = solve(part).weights
        except InfeasibleProblemError:
            continue
        costs.append(_cost(problem, weights))
    return min(costs, default=np.inf)


@pytest.mark.parametrize(
    "objective",
    [Objective.MINIMIZE_VALUE_AT_RISK, Objective.MAXIMIZE_OMEGA, Objective.MAXIMIZE_CALMAR],
)
def test_three_assets_beat_a_fine_grid(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(3, 500, objective, Constraints())
    steps = np.arange(0, 101)
    first, second = (part.ravel() / 100 for part in np.meshgrid(steps, steps))
    grid = np.column_stack([first, second, 1 - first - second])
    grid = grid[grid[:, 2] >= 0]
    best = float(cost_function(problem)(grid).min())
    solution = solve_with(problem)
    assert _cost(problem, solution.weights) <= best + PRECISION * abs(best)


def test_value_at_risk_says_that_it_has_no_bound(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    solution = solve_with(problem_of(3, 60, Objective.MINIMIZE_VALUE_AT_RISK), iterations=5)
    assert solution.optimality_gap is None
    assert solution.diagnostics["reference"] is None
    assert solution.diagnostics["gap_basis"].startswith("no bound")


def _least_value_at_risk(problem: Problem, ignored: int) -> float:
    """The exact minimum: a mixed-integer programme that may leave out the worst ``ignored`` days.

    Variables: weights, the value at risk, and for each day whether its loss may exceed that.
    """
    days, n = problem.returns.shape
    largest = 2 * float(np.abs(problem.returns).max())
    losses = np.hstack([-problem.returns, -np.ones((days, 1)), -largest * np.eye(days)])
    budget = np.r_[np.ones(n), np.zeros(1 + days)]
    left_out = np.r_[np.zeros(n + 1), np.ones(days)]
    found = milp(
        np.r_[np.zeros(n), 1.0, np.zeros(days)],
        integrality=left_out,
        bounds=Bounds(
            np.r_[np.zeros(n), -1.0, np.zeros(days)],
            np.r_[np.full(n, problem.constraints.upper), np.ones(1 + days)],
        ),
        constraints=[
            LinearConstraint(losses, -np.inf, 0.0),
            LinearConstraint(budget, 1.0, 1.0),
            LinearConstraint(left_out, -np.inf, ignored),
        ],
        options={"mip_rel_gap": 1e-6},
    )
    assert found.status == 0, found.message
    return float(found.fun)


def test_value_at_risk_is_the_exact_mixed_integer_optimum_of_a_small_sample(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    limits = Constraints(max_weight=0.5)
    problem = problem_of(6, 80, Objective.MINIMIZE_VALUE_AT_RISK, limits)
    exact = _least_value_at_risk(problem, ignored=4)
    cost = _cost(problem, solve_with(problem).weights)
    assert cost == pytest.approx(exact, rel=VALUE_AT_RISK_PRECISION)


def test_a_choice_of_many_assets_is_feasible_and_bounded(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    rng = np.random.default_rng(1)
    market = rng.normal(0.0005, 0.01, (300, 1))
    problem = Problem(
        returns=market * rng.uniform(0.5, 1.5, 120) + rng.normal(0, 0.012, (300, 120)),
        symbols=tuple(f"S{column}" for column in range(120)),
        objective=Objective.MINIMIZE_VARIANCE,
        constraints=Constraints(max_weight=0.2, max_assets=10),
    )
    solution = solve_with(problem, iterations=40)
    assert solution.max_violation <= FEASIBLE
    assert solution.diagnostics["positions"] <= 10
    assert solution.optimality_gap is not None
    assert 0 < solution.optimality_gap < 1

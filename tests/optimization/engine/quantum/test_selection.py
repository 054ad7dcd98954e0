"""At most K assets: chosen by circuits, weighed exactly, and labelled so."""

from itertools import combinations

import numpy as np
import pytest

from optimization.engine.errors import InfeasibleProblemError, UnsupportedProblemError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.measures import cost_function
from optimization.engine.problem import AssetBounds, Objective, Problem
from optimization.engine.quantum.qaoa import solve_qaoa
from optimization.engine.quantum.selection import restricted
from optimization.engine.quantum.vqe import solve_vqe
from optimization.engine.registry import SolveContext, Solver, solve
from tests.optimization.engine.quantum.conftest import ProblemOf


def _context() -> SolveContext:
    return SolveContext(rng=np.random.default_rng(5))


def _brute_force(problem: Problem, held: int) -> float:
    """Least cost over every choice, each weighed exactly."""
    cost, best = cost_function(problem), np.inf
    for choice in combinations(range(problem.n_assets), held):
        weights = np.zeros(problem.n_assets)
        weights[list(choice)] = solve(restricted(problem, choice)).weights
        best = min(best, float(cost(weights)))
    return best


@pytest.mark.parametrize("solver", [solve_qaoa, solve_vqe])
@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_SHARPE])
def test_three_of_seven_come_close_to_brute_force(
    problem_of: ProblemOf, solver: Solver, objective: Objective
) -> None:
    problem = problem_of(7, 252, objective, max_weight=0.6, max_assets=3)
    solution = solver(problem, _context())
    best = _brute_force(problem, 3)
    cost = float(cost_function(problem)(solution.weights))
    assert (cost - best) / abs(best) <= 1e-2
    assert np.count_nonzero(solution.weights) <= 3
    assert FeasibleSet.of(problem).violation(solution.weights) <= 1e-9
    assert solution.solver.endswith("+ mean_variance")
    assert solution.diagnostics["polished"].startswith("classically")


def test_twenty_assets_are_chosen_from_in_blocks(problem_of: ProblemOf) -> None:
    problem = problem_of(20, 252, Objective.MINIMIZE_VARIANCE, max_assets=5)
    solution = solve_qaoa(problem, _context())
    assert np.count_nonzero(solution.weights) <= 5
    assert solution.diagnostics["narrowed_from"] == 20
    assert solution.diagnostics["narrowed_to"] == 12
    exact = float(cost_function(problem)(solve(problem).weights))
    assert float(cost_function(problem)(solution.weights)) <= 1.2 * exact


def test_the_same_seed_chooses_the_same(problem_of: ProblemOf) -> None:
    problem = problem_of(14, 252, Objective.MINIMIZE_VARIANCE, max_assets=4)
    first, second = (solve_qaoa(problem, _context()).weights for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_limit_that_does_not_bind_is_no_choice(problem_of: ProblemOf) -> None:
    solution = solve_qaoa(problem_of(5, 252, max_assets=5), _context())
    assert "polished" not in solution.diagnostics


def test_assets_that_must_be_held_are_refused(problem_of: ProblemOf) -> None:
    with pytest.raises(UnsupportedProblemError) as refusal:
        solve_qaoa(problem_of(5, 252, min_weight=0.05, max_assets=3), _context())
    assert "constraints.max_assets" in refusal.value.fields


def test_too_few_assets_for_the_capital_are_refused(problem_of: ProblemOf) -> None:
    with pytest.raises(InfeasibleProblemError) as refusal:
        solve_qaoa(problem_of(5, 252, max_weight=0.4, max_assets=2), _context())
    assert "constraints.max_assets" in refusal.value.fields


def test_a_restricted_problem_keeps_the_bounds_of_its_assets(problem_of: ProblemOf) -> None:
    problem = problem_of(4, 60, max_assets=2)
    first, last = problem.symbols[0], problem.symbols[3]
    bounds = {first: AssetBounds(max_weight=0.7), last: AssetBounds(max_weight=0.9)}
    problem = problem_of(4, 60, max_assets=2, asset_bounds=bounds)
    part = restricted(problem, (0, 2))
    assert part.symbols == (problem.symbols[0], problem.symbols[2])
    assert dict(part.constraints.asset_bounds) == {first: bounds[first]}
    np.testing.assert_array_equal(part.returns, problem.returns[:, [0, 2]])

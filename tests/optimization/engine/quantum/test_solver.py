"""What both quantum methods promise: feasible, reproducible, close to the exact optimum."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    NoExcessReturnError,
    SolveCancelledError,
    UnsupportedProblemError,
)
from optimization.engine.feasible import FeasibleSet
from optimization.engine.measures import cost_function
from optimization.engine.objectives import CORE
from optimization.engine.problem import Objective, Problem, Progress, Solution
from optimization.engine.quantum.qaoa import solve_qaoa
from optimization.engine.quantum.vqe import solve_vqe
from optimization.engine.registry import SolveContext, solve
from tests.optimization.engine.quantum.conftest import ProblemOf

SOLVERS = {"qaoa": solve_qaoa, "vqe": solve_vqe}

FEASIBLE = 1e-12

AN_HOUR = 3600.0
"""A time limit that no machine reaches: the rounds end the search, the same ones on each."""

SolveWith = Callable[..., Solution]


@pytest.fixture(params=list(SOLVERS))
def solve_with(request: pytest.FixtureRequest) -> SolveWith:
    """Each method in turn: (problem, seed, parameters…) → solution."""

    def run(problem: Problem, seed: int = 7, **parameters: Any) -> Solution:
        rng = np.random.default_rng(seed)
        context = SolveContext(rng=rng, parameters=parameters | {"seed": seed})
        return SOLVERS[request.param](problem, context)

    return run


def _gap(problem: Problem, solution: Solution) -> float:
    cost = cost_function(problem)
    exact = float(cost(solve(problem).weights))
    return (float(cost(solution.weights)) - exact) / abs(exact)


@pytest.mark.parametrize("objective", CORE)
def test_five_assets_come_within_a_thousandth_of_the_exact_optimum(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(5, 252, objective)
    solution = solve_with(problem, time_limit=AN_HOUR)
    assert _gap(problem, solution) <= 1e-3
    assert solution.optimality_gap is not None
    assert solution.optimality_gap <= 1e-3
    assert solution.max_violation <= FEASIBLE
    assert solution.diagnostics["p_feasible"] == 1.0


@pytest.mark.parametrize("objective", CORE)
def test_twenty_assets_are_answered_and_the_narrowing_is_told(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(20, 252, objective)
    solution = solve_with(problem, time_limit=AN_HOUR)
    assert FeasibleSet.of(problem).violation(solution.weights) <= FEASIBLE
    assert _gap(problem, solution) <= 1e-2
    assert solution.diagnostics["narrowed_from"] == 20
    assert solution.diagnostics["narrowed_to"] == 6


def test_the_same_seed_gives_the_same_weights(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(8, 252, Objective.MINIMIZE_CVAR)
    first, second = (solve_with(problem, seed=11, rounds=12, time_limit=AN_HOUR) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert dict(first.diagnostics) == dict(second.diagnostics)


BOUNDS: Mapping[str, dict[str, Any]] = {
    "no cap": {"max_weight": None},
    "a cap that no lot divides": {"max_weight": 0.37},
    "a floor": {"min_weight": 0.05, "max_weight": 0.35},
    "long and short": {"long_only": False, "max_weight": 0.4},
    "cash": {"sum_to_one": False},
    "cash, long and short": {"sum_to_one": False, "long_only": False},
}


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=list(BOUNDS))
def test_every_kind_of_bound_is_met_close_to_the_optimum(
    solve_with: SolveWith, problem_of: ProblemOf, bounds: dict[str, Any]
) -> None:
    problem = problem_of(5, 252, Objective.MAXIMIZE_SHARPE, **bounds)
    solution = solve_with(problem)
    assert FeasibleSet.of(problem).violation(solution.weights) <= FEASIBLE
    assert _gap(problem, solution) <= 1e-3


def test_a_cap_between_the_lots_is_reached_exactly(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    problem = problem_of(5, 252, Objective.MAXIMIZE_RETURN, max_weight=0.37)
    np.testing.assert_allclose(
        np.sort(solve_with(problem).weights), [0, 0, 0.26, 0.37, 0.37], atol=1e-12
    )


@given(
    assets=st.integers(1, 7),
    lower=st.floats(0, 0.1),
    upper=st.floats(0.1, 1),
    sum_to_one=st.booleans(),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_answer_is_feasible(
    problem_of: ProblemOf, assets: int, lower: float, upper: float, sum_to_one: bool
) -> None:
    problem = problem_of(
        assets,
        40,
        Objective.MINIMIZE_VARIANCE,
        min_weight=lower,
        max_weight=upper,
        sum_to_one=sum_to_one,
    )
    context = SolveContext(rng=np.random.default_rng(assets), parameters={"rounds": 4})
    try:
        feasible = FeasibleSet.of(problem)
    except InfeasibleProblemError:
        with pytest.raises(InfeasibleProblemError):
            solve_qaoa(problem, context)
        return
    assert feasible.violation(solve_qaoa(problem, context).weights) <= FEASIBLE


def test_a_single_asset_is_held_whole(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    solution = solve_with(problem_of(1, 252, max_weight=1.0))
    np.testing.assert_array_equal(solution.weights, [1.0])
    assert solution.diagnostics["stopped_by"] == "single_portfolio"


def test_bounds_without_a_portfolio_are_refused_by_name(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    with pytest.raises(InfeasibleProblemError) as refusal:
        solve_with(problem_of(5, 252, max_weight=0.1))
    assert "constraints.max_weight" in refusal.value.fields


def test_a_ratio_without_excess_return_is_refused_as_by_the_exact_method(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    problem = problem_of(5, 252, Objective.MAXIMIZE_SHARPE, risk_free_rate=9.0)
    with pytest.raises(NoExcessReturnError) as exact:
        solve(problem)
    with pytest.raises(NoExcessReturnError) as quantum:
        solve_with(problem)
    assert quantum.value.message == exact.value.message


def test_a_constraint_that_lots_do_not_hold_is_refused_by_name(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    with pytest.raises(UnsupportedProblemError) as refusal:
        solve_with(problem_of(5, 252, max_leverage=1.0))
    assert "constraints.max_leverage" in refusal.value.fields


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", 0),
        ("shots", 1.5),
        ("noise", 2.0),
        ("qubits", 21),
        ("device", ""),
        ("alpha", "x"),
        ("depth", 3),
    ],
)
def test_a_bad_parameter_is_named(
    solve_with: SolveWith, problem_of: ProblemOf, name: str, value: object
) -> None:
    with pytest.raises(InvalidProblemError) as refusal:
        solve_with(problem_of(), **{name: value})
    assert f"parameters.{name}" in refusal.value.fields


def test_layers_that_need_too_much_memory_are_refused_with_the_most_that_do_not(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    with pytest.raises(InvalidProblemError, match=r"parameters.layers is at most 10$") as refusal:
        solve_with(problem_of(), qubits=20, layers=11)
    assert set(refusal.value.fields) == {"parameters.layers", "parameters.qubits"}


def test_an_error_raised_by_the_progress_callback_stops_the_solver(problem_of: ProblemOf) -> None:
    def stop(_progress: Progress) -> None:
        raise SolveCancelledError("enough")

    for solver in SOLVERS.values():
        with pytest.raises(SolveCancelledError):
            solver(problem_of(), SolveContext(rng=np.random.default_rng(0), on_progress=stop))


def test_progress_is_feasible_and_never_gets_worse(problem_of: ProblemOf) -> None:
    reports: list[Progress] = []
    problem = problem_of(20, 252, Objective.MINIMIZE_VARIANCE)
    context = SolveContext(rng=np.random.default_rng(0), on_progress=reports.append)
    solution = solve_qaoa(problem, context)
    values = [report.best_value for report in reports]
    assert values == sorted(values, reverse=True)
    assert all(later.elapsed - sooner.elapsed >= 0.1 for sooner, later in pairwise(reports))
    assert reports[-1].bound is not None
    final = solution.metrics["expected_volatility"]
    assert final is not None
    assert final <= values[-1] + 1e-12
    feasible = FeasibleSet.of(problem)
    assert max(feasible.violation(report.weights) for report in reports) <= FEASIBLE


def test_the_uniform_control_is_run_beside_it(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    solution = solve_with(problem_of())
    control = solution.diagnostics["control"]
    assert control["optimality_gap"] >= 0
    assert solution.diagnostics["lift"] > 1
    assert 0 < solution.diagnostics["p_opt"] <= 1


def test_shots_on_the_subspace_stay_feasible(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(5, 252, Objective.MINIMIZE_VARIANCE)
    solution = solve_with(problem, shots=200)
    assert FeasibleSet.of(problem).violation(solution.weights) <= FEASIBLE
    assert solution.diagnostics["shots"] == 200
    assert _gap(problem, solution) <= 0.05


def test_a_target_gap_ends_the_search_early(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(5, 252, Objective.MINIMIZE_VARIANCE)
    solution = solve_with(problem, target_gap=0.05)
    assert solution.diagnostics["stopped_by"] == "target_gap"
    assert solution.optimality_gap is not None
    assert solution.optimality_gap <= 0.05
    assert solution.diagnostics["rounds"] < solve_with(problem).diagnostics["rounds"]


def test_the_time_limit_ends_the_search_with_what_it_has(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    problem = problem_of(20, 252, Objective.MINIMIZE_CVAR)
    solution = solve_with(problem, time_limit=0.001)
    assert solution.diagnostics["stopped_by"] == "time_limit"
    assert FeasibleSet.of(problem).violation(solution.weights) <= FEASIBLE

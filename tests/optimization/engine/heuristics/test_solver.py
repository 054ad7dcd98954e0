"""What every search promises: feasible, reproducible, close to the exact optimum, stoppable."""

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
from optimization.engine.measures import cost_function, describe
from optimization.engine.problem import (
    Constraints,
    Group,
    Method,
    Objective,
    Problem,
    Progress,
    Solution,
)
from optimization.engine.registry import SolveContext, Solver, solve
from tests.optimization.engine.heuristics.conftest import SOLVERS, ProblemOf, SolveWith

CONVEX = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
)

# Largest relative gap to the exact optimum: promised are 1e-3 and 1e-2.
GAP_OF_FIVE = 1e-5
GAP_OF_TWENTY = 1e-3

FEASIBLE = 1e-9


def _relative_distance(problem: Problem, solution: Solution) -> float:
    cost = cost_function(problem)
    exact = float(cost(solve(problem, method=Method.MEAN_VARIANCE).weights))
    return (float(cost(solution.weights)) - exact) / abs(exact)


@pytest.mark.parametrize("objective", CONVEX)
def test_five_assets_reach_the_exact_optimum(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(5, 252, objective)
    solution = solve_with(problem)
    assert _relative_distance(problem, solution) <= GAP_OF_FIVE
    assert solution.optimality_gap is not None
    assert solution.optimality_gap <= GAP_OF_FIVE


@pytest.mark.parametrize("objective", CONVEX)
def test_twenty_assets_come_close_to_the_exact_optimum(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(20, 1260, objective)
    solution = solve_with(problem)
    assert _relative_distance(problem, solution) <= GAP_OF_TWENTY


@pytest.mark.parametrize("objective", CONVEX)
def test_the_reported_gap_is_the_distance_to_the_exact_optimum(
    solve_with: SolveWith, problem_of: ProblemOf, objective: Objective
) -> None:
    problem = problem_of(10, 252, objective)
    solution = solve_with(problem, iterations=5)
    assert solution.optimality_gap == pytest.approx(_relative_distance(problem, solution), abs=1e-6)


@given(assets=st.integers(2, 12), seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_weights_are_feasible_under_any_bounds(
    solve_with: SolveWith, assets: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    long_only, sum_to_one = (bool(rng.integers(0, 2)) for _ in range(2))
    problem = Problem(
        returns=rng.normal(0.002, 0.01, (60, assets)),
        symbols=tuple(f"S{column}" for column in range(assets)),
        objective=CONVEX[rng.integers(0, len(CONVEX))],
        constraints=Constraints(
            long_only=long_only,
            sum_to_one=sum_to_one,
            min_weight=float(rng.uniform(0 if long_only else -1, 1 / assets)),
            max_weight=float(rng.uniform(1 / assets, 1)),
        ),
    )
    try:
        solution = solve_with(problem, seed, iterations=5)
    except NoExcessReturnError:
        return
    assert FeasibleSet.of(problem).violation(solution.weights) <= FEASIBLE
    assert solution.max_violation <= FEASIBLE


def test_the_same_seed_gives_the_same_weights(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(20, 252, Objective.MINIMIZE_CVAR)
    first, second = (solve_with(problem, 3, iterations=30) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert first.diagnostics == second.diagnostics


def test_another_seed_takes_another_path(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(20, 252, Objective.MINIMIZE_CVAR)
    first, second = (solve_with(problem, seed, iterations=30) for seed in (3, 4))
    assert not np.array_equal(first.weights, second.weights)


def test_the_metrics_are_those_of_the_weights(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(5, 252, Objective.MAXIMIZE_SORTINO)
    solution = solve_with(problem)
    assert solution.metrics == describe(solution.weights, problem)


def test_the_diagnostics_say_what_was_done(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    problem = problem_of(20, 252, Objective.MAXIMIZE_SHARPE)
    solution = solve_with(problem, seed=11, iterations=4, population=10)
    facts = solution.diagnostics
    assert facts["iterations"] == 4
    assert facts["evaluations"] == 50
    assert facts["stopped_by"] == "iterations"
    exact = solve(problem).metrics["sharpe_ratio"]
    assert facts["reference"] == pytest.approx(exact, rel=1e-6)


def test_a_seed_among_the_parameters_is_reported(problem_of: ProblemOf) -> None:
    context = SolveContext(parameters={"seed": 11, "iterations": 1})
    assert SOLVERS["genetic"](problem_of(), context).diagnostics["seed"] == 11


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"evaluations": 200, "population": 20}, "evaluations"),
        ({"target_gap": 0.5}, "target_gap"),
        ({"time_limit": 0.001, "target_gap": 0}, "time_limit"),
    ],
)
def test_every_limit_of_the_budget_ends_the_search(
    solve_with: SolveWith, problem_of: ProblemOf, parameters: dict[str, float], reason: str
) -> None:
    problem = problem_of(20, 1260, Objective.MINIMIZE_CVAR)
    solution = solve_with(problem, **parameters)
    assert solution.diagnostics["stopped_by"] == reason


def test_no_more_portfolios_are_evaluated_than_allowed(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    solution = solve_with(problem_of(20, 252), evaluations=205, population=20, target_gap=0)
    assert solution.diagnostics["evaluations"] <= 205


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("population", 3),
        ("population", 10.5),
        ("iterations", 0),
        ("iterations", True),
        ("evaluations", "many"),
        ("time_limit", -1),
        ("time_limit", float("nan")),
        ("target_gap", 2),
        ("mutation", 0.1),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    solve_with: SolveWith, problem_of: ProblemOf, name: str, value: object
) -> None:
    with pytest.raises(InvalidProblemError, match=name) as caught:
        solve_with(problem_of(), **{name: value})
    assert caught.value.fields == (f"parameters.{name}",)


def test_parameters_of_the_caller_are_left_to_it(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    solution = solve_with(problem_of(), lookback=252, include_live=False, iterations=1)
    assert solution.diagnostics["iterations"] == 1


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=list(SOLVERS))
def test_an_exception_from_the_progress_callback_stops_the_search(
    problem_of: ProblemOf, solver: Solver
) -> None:
    seen: list[Progress] = []

    def cancel(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 2:
            raise SolveCancelledError("cancelled by the client")

    problem = problem_of(20, 1260, Objective.MINIMIZE_CVAR)
    parameters = {"iterations": 10**8, "time_limit": 60, "target_gap": 0}
    with pytest.raises(SolveCancelledError):
        solver(problem, SolveContext(parameters=parameters, on_progress=cancel))
    assert len(seen) == 2
    assert seen[0].bound is None
    assert seen[1].bound is not None
    assert seen[1].gap is not None
    assert seen[1].elapsed >= 0.1


def test_the_first_report_is_a_feasible_portfolio(problem_of: ProblemOf) -> None:
    seen: list[Progress] = []
    problem = problem_of(5, 252, Objective.MINIMIZE_CVAR)
    SOLVERS["swarm"](problem, SolveContext(on_progress=seen.append))
    first = seen[0]
    assert first.iteration == 0
    assert FeasibleSet.of(problem).violation(first.weights) <= FEASIBLE
    assert first.best_value == pytest.approx(describe(first.weights, problem)["cvar"])


def test_constraints_beyond_bounds_are_refused_by_name(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    group = Group(name="first", symbols=("AAPL",), max_weight=0.1)
    problem = problem_of(constraints=Constraints(groups=(group,)))
    with pytest.raises(UnsupportedProblemError, match="mean_variance") as caught:
        solve_with(problem)
    assert "constraints.groups" in caught.value.fields


def test_an_empty_feasible_set_is_refused(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    with pytest.raises(InfeasibleProblemError):
        solve_with(problem_of(constraints=Constraints(max_weight=0.1)))


def test_a_ratio_without_a_maximum_is_refused(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    with pytest.raises(NoExcessReturnError):
        solve_with(problem_of(5, 252, Objective.MAXIMIZE_SHARPE, risk_free_rate=10.0))


def test_few_observations_are_searched_with_the_exact_methods_covariance(
    solve_with: SolveWith, problem_of: ProblemOf
) -> None:
    problem = problem_of(20, 30)
    solution = solve_with(problem)
    assert solution.covariance == "ledoit_wolf"
    assert solution.optimality_gap is not None
    assert solution.optimality_gap <= GAP_OF_TWENTY


def test_risk_contributions_sum_to_one(solve_with: SolveWith, problem_of: ProblemOf) -> None:
    contributions = solve_with(problem_of(), iterations=3).risk_contributions
    assert contributions is not None
    assert contributions.sum() == pytest.approx(1, abs=1e-12)

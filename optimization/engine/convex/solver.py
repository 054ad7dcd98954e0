"""From a problem to a certified solution."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial

from optimization.engine.convex.conflict import conflict_error
from optimization.engine.convex.fast import COLD, Warm
from optimization.engine.convex.instance import Instance, instance_of
from optimization.engine.convex.paths import solve_generally, solve_instance
from optimization.engine.convex.rules import solve_rule
from optimization.engine.convex.search import search_solution
from optimization.engine.convex.solution import FAILURE, describe_plainly, solution_of
from optimization.engine.convex.soundness import check_solvable
from optimization.engine.covariance import SAMPLE
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    NoExcessReturnError,
    SolverFailureError,
    UnsupportedProblemError,
)
from optimization.engine.feasible import check_bounds
from optimization.engine.objectives import CONVEX, RULES
from optimization.engine.problem import Problem, Solution
from optimization.engine.registry import SolveContext


class Solver(StrEnum):
    """Which path solves: the fast one where there is one, or always the general one."""

    AUTO = "auto"
    GENERAL = "general"


def solve_convex(problem: Problem, context: SolveContext) -> Solution:
    """Solve a problem exactly.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    started = time.perf_counter()
    if problem.objective not in CONVEX | RULES:
        raise UnsupportedProblemError(
            f"mean_variance solves convex objectives and {problem.objective} is none; use"
            " genetic_algorithm, simulated_annealing or particle_swarm",
            ["method", "objective"],
        )
    check_bounds(problem)
    instance = instance_of(problem, context.parameters.get("covariance"))
    solver = context.parameters.get("solver", Solver.AUTO)
    if solver not in tuple(Solver):
        raise InvalidProblemError(
            f"solver is {solver!r}; it is one of: {', '.join(Solver)}", ["parameters.solver"]
        )
    if solver == Solver.GENERAL:
        return _general_solution(instance, started)
    solution, _ = solve_and_report(instance, COLD, context, started)
    return solution


def _general_solution(instance: Instance, started: float) -> Solution:
    """The general path's answer, for who wants a second opinion on a fast path's."""
    if instance.objective in RULES or is_combinatorial(instance):
        raise UnsupportedProblemError(
            "solver general solves one convex programme, which a rule, max_assets and min_position"
            " are not; leave parameters.solver out",
            ["parameters.solver", "objective", "constraints"],
        )
    with explained_conflicts(instance):
        check_solvable(instance)
        return solution_of(instance, solve_generally(instance), started)


def solve_and_report(
    instance: Instance,
    warm: Warm = COLD,
    context: SolveContext | None = None,
    started: float | None = None,
) -> tuple[Solution, Warm]:
    """Solve an instance, perhaps from what the last of its kind left behind.

    Args:
        instance: What to solve.
        warm: What the last one left.
        context: For a search among holdings.
        started: When the solve time begins to count; now if None.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    started = time.perf_counter() if started is None else started
    if instance.objective in RULES:
        return _rule_solution(instance, started), COLD
    if is_combinatorial(instance):
        return search_solution(instance, context or SolveContext(), started), COLD
    with explained_conflicts(instance):
        check_solvable(instance)
        answer, warm = solve_instance(instance, warm)
    return solution_of(instance, answer, started), warm


@contextmanager
def explained_conflicts(instance: Instance) -> Iterator[None]:
    """Let an infeasible problem say which of its constraints conflict, and what would mend it."""
    try:
        yield
    except NoExcessReturnError:
        raise
    except SolverFailureError as error:
        raise SolverFailureError(FAILURE, ["constraints", "objective"]) from error
    except InfeasibleProblemError as error:
        raise conflict_error(instance, error) from error


def _rule_solution(instance: Instance, started: float) -> Solution:
    outcome = solve_rule(instance)
    return Solution(
        weights=outcome.weights,
        solver=outcome.solver,
        solve_time=time.perf_counter() - started,
        optimality_gap=outcome.gap,
        max_violation=max(instance.violation(outcome.weights), 0.0),
        covariance=instance.covariance.kind if instance.uses_covariance else SAMPLE,
        describe=partial(describe_plainly, instance, outcome.weights),
    )


def is_combinatorial(instance: Instance) -> bool:
    """Whether the constraints need a search over which assets are held."""
    constraints = instance.problem.constraints
    fewer = constraints.max_assets is not None and constraints.max_assets < len(instance.mean)
    return instance.objective not in RULES and (fewer or bool(constraints.min_position))

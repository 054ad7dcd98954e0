"""From a problem to a certified solution."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from importlib import import_module

import numpy as np

from optimization.engine.convex.answer import (
    FEASIBLE,
    Answer,
    answer_of,
    free_of_size,
    most_invested,
)
from optimization.engine.convex.certificate import (
    RATIOS,
    Evidence,
)
from optimization.engine.convex.conflict import conflict_error
from optimization.engine.convex.explain import binding_constraints
from optimization.engine.convex.fast import COLD, FastOutcome, Warm, is_fast, solve_fast
from optimization.engine.convex.instance import CONVEX, Instance, instance_of
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.rules import is_rule, solve_rule
from optimization.engine.convex.soundness import (
    check_deviations,
    check_risk,
    check_solvable,
    no_excess,
)
from optimization.engine.description import describe_portfolio
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    NoExcessReturnError,
    SolverFailureError,
    UnsupportedProblemError,
)
from optimization.engine.feasible import check_bounds
from optimization.engine.moments import SAMPLE
from optimization.engine.problem import Description, FloatArray, Objective, Problem, Solution
from optimization.engine.registry import SolveContext


class Solver(StrEnum):
    """Which path solves: the fast one where there is one, or always the general one."""

    AUTO = "auto"
    GENERAL = "general"


SHARP = 1e-12
"""Relative gap beyond which an answer shows its solver's rounding."""

NO_GAIN = 1e-9
"""A gain this small, relative to the portfolio's returns, is the rounding of a cone's solver."""

FAILURE = (
    "no solver found a portfolio that it could prove to be feasible and near the optimum; loosen"
    " the tightest constraint, leave out assets that hardly move, or choose another objective"
)


def solve_convex(problem: Problem, context: SolveContext) -> Solution:
    """Solve a problem exactly.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    started = time.perf_counter()
    if problem.objective not in CONVEX and not is_rule(problem.objective):
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
    if is_rule(instance.objective) or is_combinatorial(instance):
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
    if is_rule(instance.objective):
        return _rule_solution(instance, started), COLD
    if is_combinatorial(instance):
        search = import_module("optimization.engine.convex.search")
        return search.search_solution(instance, context or SolveContext(), started), COLD
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
        raise conflict_error(instance) from error


def solve_instance(instance: Instance, warm: Warm = COLD) -> tuple[Answer, Warm]:
    """Solve by the fast path where there is one, and by the general path where that fails.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    free = free_of_size(instance)
    if free is not instance:
        answer, warm = solve_instance(free, warm)
        weights = most_invested(instance, answer.weights)
        violation = instance.violation_of_amounts(weights)
        return replace(answer, weights=weights, violation=violation), warm
    fast, tried = None, ""
    if is_fast(instance):
        try:
            outcome = solve_fast(instance, warm)
            tried = f" after {outcome.solver}"
            fast = fast_answer(instance, outcome)
        except SolverFailureError:
            tried = tried or ("" if instance.cones else " after the fast path")
        else:
            if fast.is_certified:
                return fast, outcome.warm
    return solve_generally(instance, fast, tried), COLD


def solve_generally(instance: Instance, fast: Answer | None = None, tried: str = "") -> Answer:
    """Solve by the general path.

    Args:
        instance: What to solve.
        fast: A fast path's answer whose certificate did not do, if there is one.
        tried: What the solver's name ends with.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    minimise_linear(np.zeros(instance.region.n_assets), instance.region)  # or it is infeasible
    only = instance.region.only_portfolio
    if only is not None:
        if instance.violation_of_amounts(only) > FEASIBLE:
            raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
        answer = answer_of(instance, only, Evidence(), "bounds")
        # There is no other portfolio that could be better.
        return replace(answer, certificate=replace(answer.certificate, gap=0.0))
    check_deviations(instance)
    check_risk(instance)
    best = fast
    try:
        for answer in _general_answers(instance):
            if best is None or answer.rank < best.rank:
                best = replace(answer, solver=answer.solver + tried)
            elif best is fast:
                best = replace(fast, solver=f"{fast.solver}, no worse than {answer.solver}")
            if best.is_certified:
                break
    except InfeasibleProblemError:
        if instance.cones and instance.objective in RATIOS:
            _check_gain_within_cones(instance)
        raise
    if best is None:
        raise SolverFailureError("no solver gave an answer")
    return best


def _general_answers(instance: Instance) -> Iterator[Answer]:
    """What the general path's attempts come to, those left out that come to nothing."""
    general = import_module("optimization.engine.convex.general")
    for found in general.solve_general(instance):
        try:
            answer = answer_of(instance, found.weights, found.evidence, found.solver)
        except SolverFailureError:
            continue  # a ratio of nothing held; the next attempt may hold something
        yield answer


def _check_gain_within_cones(instance: Instance) -> None:
    """Refuse a ratio whose numerator is positive only where a deviation is too large.

    Raises:
        NoExcessReturnError: No portfolio within the deviations gains.
        InfeasibleProblemError: No portfolio is within them.
    """
    if instance.objective == Objective.MAXIMIZE_DIVERSIFICATION:
        return
    problem = replace(instance.problem, objective=Objective.MAXIMIZE_RETURN)
    richest, _ = solve_instance(replace(instance, problem=problem))
    if richest.certificate.value >= -NO_GAIN * instance.return_scale:
        raise no_excess(instance)


def fast_answer(instance: Instance, outcome: FastOutcome) -> Answer:
    """Certify a fast path's answer, and polish it first if that shows rounding."""
    answer = answer_of(instance, outcome.weights, outcome.evidence, outcome.solver)
    if answer.certificate.gap <= SHARP or outcome.polish is None:
        return answer
    try:
        weights = outcome.polish()
        if weights is None:
            return answer
        polished = answer_of(instance, weights, outcome.evidence, outcome.solver)
    except SolverFailureError:
        return answer
    return min(polished, answer, key=lambda item: item.certificate.gap)


def _rule_solution(instance: Instance, started: float) -> Solution:
    outcome = solve_rule(instance)
    return Solution(
        weights=outcome.weights,
        solver=outcome.solver,
        solve_time=time.perf_counter() - started,
        optimality_gap=outcome.gap,
        max_violation=max(instance.violation(outcome.weights), 0.0),
        covariance=instance.covariance.kind if instance.uses_covariance else SAMPLE,
        describe=partial(_describe_plainly, instance, outcome.weights),
    )


def solution_of(instance: Instance, answer: Answer, started: float) -> Solution:
    """What is reported about an answer, its description left to whoever asks.

    Raises:
        SolverFailureError: It breaks a constraint.
    """
    gap = answer.certificate.gap
    violation = max(answer.violation, instance.violation_of_holdings(answer.weights))
    if violation > FEASIBLE:
        raise SolverFailureError(FAILURE, ["constraints", "objective"])
    return Solution(
        weights=answer.weights,
        solver=answer.solver,
        solve_time=time.perf_counter() - started,
        optimality_gap=gap if np.isfinite(gap) else None,
        max_violation=violation,
        covariance=instance.covariance.kind if instance.uses_covariance else SAMPLE,
        describe=partial(_describe, instance, answer),
    )


def _describe_plainly(instance: Instance, weights: FloatArray) -> Description:
    return describe_portfolio(weights, instance.problem, instance.covariance)


def _describe(instance: Instance, answer: Answer) -> Description:
    binding = binding_constraints(instance, answer.weights, answer.certificate, answer.evidence)
    described = _describe_plainly(instance, answer.weights)
    return replace(described, binding=binding)


def is_combinatorial(instance: Instance) -> bool:
    """Whether the constraints need a search over which assets are held."""
    constraints = instance.problem.constraints
    fewer = constraints.max_assets is not None and constraints.max_assets < len(instance.mean)
    return not is_rule(instance.objective) and (fewer or bool(constraints.min_position))

"""From a problem to a certified solution."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from importlib import import_module

import numpy as np

from optimization.engine.convex.certificate import (
    RATIOS,
    Certificate,
    Evidence,
    certify,
    ratio_parts,
)
from optimization.engine.convex.conflict import conflict_error
from optimization.engine.convex.explain import binding_constraints
from optimization.engine.convex.fast import COLD, FastOutcome, Warm, is_fast, solve_fast
from optimization.engine.convex.instance import CONVEX, TINY, Instance, instance_of
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.multipliers import cone_multipliers
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.convex.ratio import holds_nothing, shrink_into
from optimization.engine.convex.region import Region, Row
from optimization.engine.convex.rules import is_rule, solve_rule
from optimization.engine.description import describe_portfolio
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    NoExcessReturnError,
    SolverFailureError,
    UnboundedProblemError,
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


CERTIFIED = 1e-8
"""Relative gap up to which an answer is taken without a second opinion."""

SHARP = 1e-12
"""Relative gap beyond which an answer shows its solver's rounding."""

FEASIBLE = 1e-9
"""Violation of a constraint above which an answer is none."""

FAILURE = (
    "no solver found a portfolio that it could prove to be feasible and near the optimum; loosen"
    " the tightest constraint, leave out assets that hardly move, or choose another objective"
)

RISKLESS = 1e-8
"""A deviation this small, relative to the portfolio's returns, is rounding."""

ROUNDING = 1e-15
"""A budget missed by no more is not missed."""

NO_GAIN = 1e-9
"""A gain this small, relative to the portfolio's returns, is the rounding of a cone's solver."""

SNAP = 1e-11
"""A weight this close to a bound is on it."""


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


def solve_instance(instance: Instance, warm: Warm = COLD) -> tuple["Answer", Warm]:
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


def solve_generally(instance: Instance, fast: "Answer | None" = None, tried: str = "") -> "Answer":
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
        return answer_of(instance, only, Evidence(), "bounds")
    check_risk(instance)
    general = import_module("optimization.engine.convex.general")
    best = fast
    try:
        for found in general.solve_general(instance):
            answer = answer_of(instance, found.weights, found.evidence, found.solver + tried)
            if best is None or answer.rank < best.rank:
                best = answer
            elif best is fast:
                best = replace(fast, solver=f"{fast.solver}, no worse than {found.solver}")
            if best.is_certified:
                break
    except InfeasibleProblemError:
        if instance.cones and instance.objective in RATIOS:
            _check_gain_within_cones(instance)
        raise
    if best is None:
        raise SolverFailureError("no solver gave an answer")
    return best


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
        raise _no_excess(instance)


def fast_answer(instance: Instance, outcome: FastOutcome) -> "Answer":
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


@dataclass(frozen=True)
class Answer:
    """Weights with the evidence for them.

    Attributes:
        weights: Shape (n,).
        certificate: How far they may be from the optimum.
        evidence: What it is computed from.
        solver: What found them.
        violation: Largest violation of a constraint on amounts.
    """

    weights: FloatArray
    certificate: Certificate
    evidence: Evidence
    solver: str
    violation: float

    @property
    def is_certified(self) -> bool:
        """Whether nothing more is to be wished for."""
        return self.certificate.gap <= CERTIFIED and self.violation <= FEASIBLE

    @property
    def rank(self) -> tuple[float, float]:
        """Smaller is better: first what is feasible, then what is nearer the optimum."""
        return max(self.violation, FEASIBLE), self.certificate.gap


def answer_of(instance: Instance, weights: FloatArray, evidence: Evidence, solver: str) -> Answer:
    """Round a solver's weights into the constraints and certify them."""
    weights = settle(most_invested(instance, weights), instance.region)
    check_bounded(instance, weights)
    if instance.cones and not evidence.cone_multipliers:
        found = cone_multipliers(instance, weights, evidence)
        evidence = replace(evidence, cone_multipliers=found)
    certificate = certify(instance, weights, evidence)
    violation = instance.violation_of_amounts(weights)
    return Answer(weights, certificate, evidence, solver, violation)


def check_risk(instance: Instance) -> None:
    """Refuse a ratio whose denominator can be zero while its numerator is positive.

    Raises:
        UnboundedProblemError: Naming a portfolio that gains without risk.
    """
    if instance.objective not in RATIOS or not instance.region.is_linear:
        return
    best = -minimise_linear(-instance.gain, instance.region).value
    if best <= 0:
        return
    gaining = Row("objective", "the gain", instance.gain / best, 0.5, np.inf)
    region = replace(instance.region, rows=(*instance.region.rows, gaining))
    if instance.objective != Objective.MAXIMIZE_SORTINO:
        programme = QuadraticProgramme(instance.covariance, region)
        try:
            calm = programme.solve(np.zeros(region.n_assets)).weights
        except SolverFailureError:
            return  # the general path and its certificate decide
        check_bounded(instance, calm)
        return
    outcomes = instance.excess / instance.return_scale
    rows = tuple(Row("objective", "a period", day, 0.0, np.inf) for day in outcomes)
    try:
        safe = minimise_linear(-instance.mean, replace(region, rows=(*region.rows, *rows)))
    except InfeasibleProblemError:
        return
    check_bounded(instance, safe.weights)


def check_bounded(instance: Instance, weights: FloatArray) -> None:
    """Refuse a ratio that is unbounded because a portfolio gains without risk.

    Raises:
        UnboundedProblemError: Naming what it holds.
    """
    if instance.objective not in RATIOS:
        return
    numerator, deviation, _, _ = ratio_parts(instance, weights)
    if deviation > RISKLESS * max(instance.return_scale * float(np.abs(weights).sum()), numerator):
        return
    largest = np.argsort(-np.abs(weights))[:3]
    names = ", ".join(instance.problem.symbols[asset] for asset in largest if weights[asset])
    raise UnboundedProblemError(
        f"a portfolio of {names} gained without any risk in this window, so"
        f" {instance.objective} has no maximum; use a longer window or another objective",
        ["objective", "parameters.lookback", "symbols"],
    )


def is_scale_free(instance: Instance) -> bool:
    """Whether every smaller multiple of a portfolio is feasible too, with the same ratio."""
    return (
        instance.objective in RATIOS
        and not instance.region.trades
        and holds_nothing(instance.region)
        and not any(origin.any() for _, _, origin in instance.deviations)
    )


def free_of_size(instance: Instance) -> Instance:
    """The same without the limits on leverage and volatility that a multiple can always meet."""
    limited = instance.cones or not instance.region.is_linear
    if not limited or not is_scale_free(instance):
        return instance
    constraints = replace(instance.problem.constraints, max_leverage=None, target_volatility=None)
    problem = replace(instance.problem, constraints=constraints)
    return replace(instance, problem=problem, region=instance.region.without_trades())


def most_invested(instance: Instance, weights: FloatArray) -> FloatArray:
    """Of the portfolios with the same ratio, which differ in cash only, the one with least cash."""
    region = instance.region
    alike = instance.objective in RATIOS and not region.trades
    if not alike or region.budget_low == region.budget_high or not weights.any():
        return weights
    sizes = [float(np.abs(weights).sum()) / region.leverage]
    for _, limit, origin in instance.cones:
        if origin.any():
            return weights
        sizes.append(float(np.sqrt(instance.covariance.variance(weights))) / limit)
    factor = min(shrink_into(region, weights), 1.0 / max(*sizes, TINY))
    grows = factor > 1 or holds_nothing(region)
    return weights * factor if np.isfinite(factor) and grows else weights


def _rule_solution(instance: Instance, started: float) -> Solution:
    outcome = solve_rule(instance)
    return Solution(
        weights=outcome.weights,
        solver=outcome.solver,
        solve_time=time.perf_counter() - started,
        optimality_gap=outcome.gap,
        max_violation=max(instance.violation(outcome.weights), 0.0),
        covariance=instance.covariance.kind if instance.uses_covariance else SAMPLE,
        describe=partial(
            describe_portfolio, outcome.weights, instance.problem, instance.covariance
        ),
    )


def solution_of(instance: Instance, answer: Answer, started: float) -> Solution:
    """What is reported about an answer, its description left to whoever asks.

    Raises:
        SolverFailureError: It breaks a constraint.
    """
    gap = answer.certificate.gap
    violation = max(instance.violation(answer.weights), 0.0)
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


def _describe(instance: Instance, answer: Answer) -> Description:
    binding = binding_constraints(instance, answer.weights, answer.certificate, answer.evidence)
    described = describe_portfolio(answer.weights, instance.problem, instance.covariance)
    return replace(described, binding=binding)


def is_combinatorial(instance: Instance) -> bool:
    """Whether the constraints need a search over which assets are held."""
    constraints = instance.problem.constraints
    fewer = constraints.max_assets is not None and constraints.max_assets < len(instance.mean)
    return not is_rule(instance.objective) and (fewer or bool(constraints.min_position))


def check_solvable(instance: Instance) -> None:
    """Refuse a problem without a portfolio, or a ratio without a maximum.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        NoExcessReturnError: No feasible portfolio earns more than the risk-free rate.
    """
    if instance.objective not in RATIOS:
        return
    best = minimise_linear(-instance.gain, instance.region, instance.gain_costs)
    if instance.objective == Objective.MAXIMIZE_DIVERSIFICATION:
        return
    if best.value >= -1e-15 * instance.return_scale:
        raise _no_excess(instance)


def _no_excess(instance: Instance) -> NoExcessReturnError:
    return NoExcessReturnError(
        "every feasible portfolio earns less than the risk-free rate, so"
        f" {instance.objective} has no answer; lower risk_free_rate, add symbols or minimise risk",
        ["objective", "risk_free_rate", "symbols"],
    )


def settle(weights: FloatArray, region: Region) -> FloatArray:
    """Remove a solver's rounding: inside every bound, and on the budget where it can be."""
    weights = np.where(weights < region.lower + SNAP, region.lower, weights)
    weights = np.where(weights > region.upper - SNAP, region.upper, weights)
    for _ in range(3):
        total = float(weights.sum())
        missing = min(max(total, region.budget_low), region.budget_high) - total
        if abs(missing) <= ROUNDING:
            break
        room = region.upper - weights if missing > 0 else weights - region.lower
        inner = np.where((weights > region.lower) & (weights < region.upper), room, 0.0)
        room = inner if float(inner.sum()) >= abs(missing) else room
        available = float(room.sum())
        if available <= 0:
            break
        weights = np.clip(weights + room * (missing / available), region.lower, region.upper)
    return np.asarray(weights)

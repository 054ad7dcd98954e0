"""One convex instance's answer: by the fast path, or by the general one where that fails."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

import numpy as np

from optimization.engine.convex.answer import (
    FEASIBLE,
    Answer,
    answer_of,
    free_of_size,
    most_invested,
)
from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.fast import COLD, FastOutcome, Warm, is_fast, solve_fast
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.soundness import check_deviations, check_risk, no_excess
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.objectives import EXCESS_RATIOS
from optimization.engine.problem import Objective

SHARP = 1e-12
"""Relative gap beyond which an answer shows its solver's rounding."""

NO_GAIN = 1e-9
"""A gain this small, relative to the portfolio's returns, is the rounding of a cone's solver."""


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
    # From nothing takes longer than from a start, and the general path longer by far.
    starts = (COLD,) if warm is COLD else (warm, COLD)
    for begun in starts if is_fast(instance) else ():
        try:
            outcome = solve_fast(instance, begun)
            tried = f" after {outcome.solver}"
            answer = fast_answer(instance, outcome)
        except SolverFailureError:
            tried = tried or ("" if instance.cones else " after the fast path")
            continue
        if answer.is_certified:
            return answer, outcome.warm
        fast = answer if fast is None else min(answer, fast, key=lambda item: item.rank)
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
    except (InfeasibleProblemError, SolverFailureError):
        _check_gain_within_cones(instance)
        raise
    if best is None:
        # All that a solver came upon was the apex, where a ratio holds nothing.
        _check_gain_within_cones(instance)
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
    if not instance.cones or instance.objective not in EXCESS_RATIOS:
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
    return min(polished, answer, key=lambda item: item.rank)

"""Problems without a portfolio and ratios without a maximum, refused by name."""

from dataclasses import replace
from importlib import import_module

import numpy as np

from optimization.engine.convex.certificate import RISKLESS, RatioParts, ratio_parts
from optimization.engine.convex.deviation import Mixtures, OutOfReachError
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.convex.region import Row
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    NoExcessReturnError,
    SolverFailureError,
    UnboundedProblemError,
)
from optimization.engine.objectives import RATIOS
from optimization.engine.problem import FloatArray, Objective

ROUGH = 1e-7
"""Violation of a constraint up to which a portfolio still shows what is possible."""


ENDLESS = 1e3
"""A ratio per period beyond which a risk of rounding's size is none: of less gain, it is a risk."""


def check_solvable(instance: Instance) -> None:
    """Refuse a problem without a portfolio, or a ratio without a maximum.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        NoExcessReturnError: No feasible portfolio earns more than the risk-free rate.
        InvalidProblemError: No feasible portfolio has any volatility to diversify.
    """
    if instance.objective not in RATIOS:
        return
    best = minimise_linear(-instance.gain, instance.region, instance.gain_costs)
    if best.value < -1e-15 * instance.gain_scale:
        return
    if instance.objective == Objective.MAXIMIZE_DIVERSIFICATION:
        raise InvalidProblemError(
            "nothing that may be held moves over this window, so there is no risk to diversify; add"
            " symbols, choose a longer window or another objective",
            ["symbols", "parameters.lookback", "objective"],
        )
    raise no_excess(instance)


def no_excess(instance: Instance) -> NoExcessReturnError:
    """The error that says that no feasible portfolio gains."""
    return NoExcessReturnError(
        "every feasible portfolio earns less than the risk-free rate, so"
        f" {instance.objective} has no answer; lower risk_free_rate, add symbols or minimise risk",
        ["objective", "risk_free_rate", "symbols"],
    )


def check_deviations(instance: Instance) -> None:
    """Refuse limits on deviations that no portfolio keeps, where a few small programmes prove it.

    Raises:
        InfeasibleProblemError: No portfolio keeps them.
    """
    if not instance.cones:
        return
    try:
        mixtures = Mixtures(instance.covariance, instance.region, instance.cones)
        nearest = mixtures.nearest()
    except SolverFailureError:
        return  # the general path decides
    if nearest.is_proof:
        raise OutOfReachError(mixtures)


def check_risk(instance: Instance) -> None:
    """Refuse a ratio whose denominator can be zero while its numerator is positive.

    Raises:
        UnboundedProblemError: Naming a portfolio that gains without risk.
    """
    if instance.objective not in RATIOS:
        return
    best = -minimise_linear(-instance.gain, instance.region, instance.gain_costs).value
    if best <= 0:
        return
    gaining = Row("objective", "the gain", instance.gain / best, 0.5, np.inf)
    region = replace(instance.region, rows=(*instance.region.rows, gaining))
    if instance.cones or not region.is_linear:
        _check_least_risk(instance.with_region(region))
        return
    if instance.objective != Objective.MAXIMIZE_SORTINO:
        programme = QuadraticProgramme(instance.covariance, region)
        try:
            calm = programme.solve(np.zeros(region.n_assets)).weights
        except SolverFailureError:
            return  # the general path and its certificate decide
        check_bounded(instance, calm, ratio_parts(instance, calm))
        return
    outcomes = instance.excess / instance.return_scale
    rows = tuple(Row("objective", "a period", day, 0.0, np.inf) for day in outcomes)
    try:
        safe = minimise_linear(-instance.mean, replace(region, rows=(*region.rows, *rows)))
    except InfeasibleProblemError:
        return
    check_bounded(instance, safe.weights, ratio_parts(instance, safe.weights))


def _check_least_risk(gaining: Instance) -> None:
    """The same where limits on trades or deviations matter, by the general path."""
    try:
        calm = import_module("optimization.engine.convex.least_risk").least_risk(gaining)
    except (InfeasibleProblemError, SolverFailureError):
        return
    if gaining.violation_of_amounts(calm) <= ROUGH:
        check_bounded(gaining, calm, ratio_parts(gaining, calm))


def check_bounded(instance: Instance, weights: FloatArray, parts: RatioParts) -> None:
    """Refuse a ratio that is unbounded because a portfolio gains without risk.

    Args:
        instance: The problem.
        weights: The portfolio, shape (n,).
        parts: Those of its ratio.

    Raises:
        UnboundedProblemError: Naming what it holds.
    """
    rounding = RISKLESS * instance.gain_scale * float(np.abs(weights).sum())
    if parts.numerator <= rounding or parts.denominator > max(rounding, RISKLESS * parts.numerator):
        return
    if parts.numerator < ENDLESS * parts.denominator:
        return  # next to nothing held of what moves: a small risk for a small gain
    largest = np.argsort(-np.abs(weights))[:3]
    names = ", ".join(instance.problem.symbols[asset] for asset in largest if weights[asset])
    raise UnboundedProblemError(
        f"a portfolio of {names} gained without any risk in this window, so"
        f" {instance.objective} has no maximum; use a longer window or another objective",
        ["objective", "parameters.lookback", "symbols"],
    )

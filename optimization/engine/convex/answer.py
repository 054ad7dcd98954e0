"""Weights with their evidence: rounded into the constraints, and certified."""

from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.convex.certificate import Certificate, Evidence, certify, ratio_parts
from optimization.engine.convex.instance import TINY, Instance
from optimization.engine.convex.multipliers import cone_multipliers
from optimization.engine.convex.ratio import holds_nothing, shrink_into
from optimization.engine.convex.region import Region
from optimization.engine.convex.soundness import check_bounded
from optimization.engine.objectives import RATIOS
from optimization.engine.problem import FloatArray

CERTIFIED = 1e-8
"""Relative gap up to which an answer is taken without a second opinion."""

FEASIBLE = 1e-9
"""Violation of a constraint above which an answer is none."""

ROUNDING = 1e-15
"""A budget missed by no more is not missed."""

SNAP = 1e-11
"""A weight this close to a bound, or to nothing, is there."""


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
    def rank(self) -> tuple[float, float, float]:
        """Smaller is better: what is feasible, then what is provably nearer the optimum.

        Of two answers without a bound the better one.
        """
        return max(self.violation, FEASIBLE), self.certificate.gap, self.certificate.value


def answer_of(instance: Instance, weights: FloatArray, evidence: Evidence, solver: str) -> Answer:
    """Round a solver's weights into the constraints and certify them."""
    weights = settle(most_invested(instance, weights), instance.region)
    violation = instance.violation_of_amounts(weights)
    if violation > FEASIBLE:
        other = on_equations(weights, instance.region)
        if (less := instance.violation_of_amounts(other)) < violation:
            weights, violation = other, less
    parts = ratio_parts(instance, weights) if instance.objective in RATIOS else None
    if parts is not None:
        check_bounded(instance, weights, parts)
    if instance.cones and not evidence.cone_multipliers:
        found = cone_multipliers(instance, weights, evidence)
        evidence = replace(evidence, cone_multipliers=found)
    certificate = certify(instance, weights, evidence, parts)
    return Answer(weights, certificate, evidence, solver, violation)


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


def on_equations(weights: FloatArray, region: Region) -> FloatArray:
    """The nearest weights on the budget and on every row that leaves no choice.

    A turnover of nothing leaves none at all. Assets at a bound stay there.
    """
    if region.turnover <= ROUNDING:
        return region.current
    limits = region.limits
    equal = limits.low == limits.high
    free = (weights > region.lower) & (weights < region.upper)
    matrix, moved = limits.matrix[equal], weights.copy()
    missing = limits.low[equal] - matrix @ weights
    moved[free] += np.linalg.lstsq(matrix[:, free], missing, rcond=None)[0]
    return moved


def settle(weights: FloatArray, region: Region) -> FloatArray:
    """Remove a solver's rounding: inside every bound, and on the budget where it can be."""
    weights = np.where(np.abs(weights) < SNAP, 0.0, weights)
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

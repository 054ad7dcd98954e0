"""Portfolios of greatest excess return per unit of risk, without leaving the weights' own space.

On its face of the feasible set the optimum minimises ½w'Qw − t·m'w for the one t with
t = w'Qw / m'w. On a face w(t) is affine and the equation has a closed solution, so a few
quadratic programmes with a moving t find it: the homogenised problem's answer at the price of
simple bounds.
"""

from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import Mask, QuadraticProgramme
from optimization.engine.convex.region import Region
from optimization.engine.errors import SolverFailureError
from optimization.engine.moments import Covariance
from optimization.engine.problem import FloatArray

ROUNDS = 60
SETTLED = 1e-13


@dataclass(frozen=True)
class Tangency:
    """The portfolio of the greatest m'w / √(w'Qw).

    Attributes:
        weights: Shape (n,).
        tilt: The t at which it also minimises ½w'Qw − t·m'w.
        working: Assets that the programme worked with.
    """

    weights: FloatArray
    tilt: float
    working: Mask | None


def maximise_ratio(
    quadratic: Covariance, mean: FloatArray, region: Region, start: Tangency | None = None
) -> Tangency:
    """Maximise mean'w / √(w'Qw) over a region on which mean'w can be positive.

    Raises:
        SolverFailureError: The iteration did not settle, e.g. on a singular Q.
    """
    if float(quadratic.variances.max()) <= np.finfo(np.float64).tiny:
        raise SolverFailureError("no asset has any risk")
    working = start.working if start else None
    if holds_nothing(region):
        return _on_cone(quadratic, mean, region, working)
    programme = QuadraticProgramme(quadratic, region, working)
    tilt = start.tilt if start else _first_tilt(quadratic, mean, region)
    weights = None
    for _ in range(ROUNDS):
        face = programme.solve(-tilt * mean)
        base, slope = programme.along(face, mean)
        gain = float(mean @ base)
        if gain <= 0:
            tilt *= 4.0
            continue
        target = quadratic.variance(base) / gain
        weights = base + target * slope
        still = abs(target - tilt) <= SETTLED * target
        tilt = target
        if still or _holds(programme, weights, target * mean):
            break
    if weights is None:
        raise SolverFailureError("the tilt of the tangency portfolio did not settle")
    return Tangency(weights, tilt, programme.working)


def _first_tilt(quadratic: Covariance, mean: FloatArray, region: Region) -> float:
    richest = minimise_linear(-mean, region).weights
    gain = float(mean @ richest)
    if gain <= 0:
        raise SolverFailureError("no portfolio has a positive excess return")
    return quadratic.variance(richest) / gain


def _holds(programme: QuadraticProgramme, weights: FloatArray, pull: FloatArray) -> bool:
    """Whether weights are feasible and nothing would rather leave its limit."""
    if not programme.contains(weights):
        return False
    gradient = programme.quadratic.times(weights) - pull
    linear = minimise_linear(gradient, programme.region)
    distance = float(gradient @ weights) - linear.value
    return distance <= SETTLED * programme.quadratic.variance(weights)


def holds_nothing(region: Region) -> bool:
    """Whether all cash is feasible, so that a ratio's optimum may be scaled down at will."""
    return bool(
        region.budget_low <= 0
        and (region.lower <= 0).all()
        and (region.upper >= 0).all()
        and all(row.low <= 0 <= row.high for row in region.rows)
    )


def cone_of(region: Region) -> Region:
    """The directions in which a region that holds nothing extends from zero."""
    return replace(
        region,
        lower=np.where(region.lower < 0, -np.inf, 0.0),
        upper=np.where(region.upper > 0, np.inf, 0.0),
        budget_low=-np.inf,
        budget_high=np.inf,
        rows=tuple(
            replace(
                row,
                low=-np.inf if row.low < 0 else 0.0,
                high=np.inf if row.high > 0 else 0.0,
            )
            for row in region.rows
        ),
    )


def _on_cone(
    quadratic: Covariance, mean: FloatArray, region: Region, working: Mask | None
) -> Tangency:
    """With cash only the limits at zero matter: solve without the others, then shrink into them."""
    cone = cone_of(region)
    programme = QuadraticProgramme(quadratic, cone, working)
    tilt = 1.0 / (programme.scale * (float(np.abs(mean).max()) or 1.0))
    face = programme.solve(-tilt * mean)
    base, slope = programme.along(face, tilt * mean)
    weights = base + slope
    return Tangency(weights * shrink_into(region, weights), tilt, programme.working)


def shrink_into(region: Region, weights: FloatArray) -> float:
    """The largest factor with factor · weights in a region that holds nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.concatenate([weights, [weights.sum()], region.matrix @ weights])
        high = np.concatenate(
            [region.upper, [region.budget_high], [row.high for row in region.rows]]
        )
        low = np.concatenate([region.lower, [-np.inf], [row.low for row in region.rows]])
        limits = np.where(value > 0, high / value, np.where(value < 0, low / value, np.inf))
    return float(limits.min())

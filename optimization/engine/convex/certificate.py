"""How far a portfolio can be from the optimum, from the minimum of a linear lower model.

Every objective here is convex in w, or a ratio of a concave and a convex function of w. A
subgradient at the portfolio gives a linear model that no feasible portfolio can undercut; its
exact minimum over the polyhedron is a certified bound. Limits on a deviation enter the model with
a multiplier, which may make the bound weaker but never wrong.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import NamedTuple

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import LinearOptimum, minimise_linear
from optimization.engine.convex.ratio import cone_of, holds_nothing
from optimization.engine.convex.tail import tail_weights, within_tail
from optimization.engine.errors import SolverFailureError
from optimization.engine.objectives import RATIOS
from optimization.engine.problem import FloatArray, Objective

RATIO_ROUNDS = 50
ROUNDING = 1e-14
RISKLESS = 1e-8
"""A gain or a risk this small, relative to the portfolio's returns, is rounding."""

USELESS = 1.0
"""A bound that allows twice the ratio is none."""

PROVEN = 1e-10
"""A gap that leaves nothing to be wished for."""

CANCELLED = 1e-10
SMALL = 1e-3
"""A risk below this share of a typical asset's counts as this share: a gap relative to nothing
would say nothing."""


@dataclass(frozen=True)
class Evidence:
    """What a solver knows beyond the weights.

    Attributes:
        scenario_weights: For CVaR the worst-case probabilities of the T periods, shape (T,).
        cone_multipliers: Multiplier of each limit on a deviation, by its request field.
    """

    scenario_weights: FloatArray | None = None
    cone_multipliers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Certificate:
    """A bound on the optimum.

    Attributes:
        value: The objective as a cost per period, at the portfolio.
        gap: Relative distance of ``value`` to the bound, at least 0; inf without a bound.
        linear: The minimum of the linear model, whose multipliers are the shadow prices.
        price_scale: What turns those multipliers into the objective's change per period.
    """

    value: float
    gap: float
    linear: LinearOptimum
    price_scale: float = 1.0


@dataclass(frozen=True)
class LinearModel:
    """offset + gradient'w + cost_weight · cost(w), a lower bound of a convex function."""

    offset: float
    gradient: FloatArray
    cost_weight: float = 0.0


class RatioParts(NamedTuple):
    """A ratio at a portfolio, and the linear model of its denominator there.

    Attributes:
        numerator: What is gained.
        denominator: What is risked.
        slope: Gradient of the denominator's model, shape (n,).
        cost_slope: Cost weight of the denominator's model.
    """

    numerator: float
    denominator: float
    slope: FloatArray
    cost_slope: float

    @property
    def ratio(self) -> float:
        """The ratio itself."""
        return self.numerator / self.denominator

    def model(self, instance: Instance, bound: float) -> tuple[FloatArray, float]:
        """Gradient and cost weight of bound · denominator − numerator, linearised."""
        gradient = bound * self.slope - instance.gain
        return gradient, instance.gain_costs + bound * self.cost_slope


def certify(
    instance: Instance, weights: FloatArray, evidence: Evidence, parts: RatioParts | None = None
) -> Certificate:
    """Bound the distance of a portfolio to the optimum of its problem.

    Args:
        instance: The problem.
        weights: The portfolio, shape (n,).
        evidence: What its solver knows.
        parts: Those of its ratio, if they are known already.
    """
    if instance.objective in RATIOS:
        parts = parts or ratio_parts(instance, weights)
        return _certify_ratio(instance, weights, evidence, parts)
    value, model, unit = _MODELS[instance.objective](instance, weights, evidence)
    gradient, offset = model.gradient, model.offset
    if instance.cones:
        cones = cone_model(instance, weights, evidence)
        gradient, offset = gradient + cones.gradient, offset + cones.offset
    linear = minimise_linear(gradient, instance.region, model.cost_weight)
    distance = value - offset - linear.value
    return Certificate(value, max(distance, 0.0) / max(abs(value), unit), linear)


def lower_gradient(
    instance: Instance, weights: FloatArray, evidence: Evidence
) -> tuple[FloatArray, float]:
    """Gradient and cost weight of the linear model at a portfolio, without cones."""
    if instance.objective not in RATIOS:
        _, model, _ = _MODELS[instance.objective](instance, weights, evidence)
        return model.gradient, model.cost_weight
    parts = ratio_parts(instance, weights)
    return parts.model(instance, parts.numerator / (parts.denominator or 1.0))


def cone_model(instance: Instance, weights: FloatArray, evidence: Evidence) -> LinearModel:
    """Σ multiplier × (deviation − limit), linearised at the portfolio."""
    offset, gradient = 0.0, np.zeros(len(weights))
    for name, limit, origin in instance.cones:
        multiplier = max(evidence.cone_multipliers.get(name, 0.0), 0.0)
        direction = instance.covariance.times(weights - origin)
        deviation = float(np.sqrt(instance.covariance.variance(weights - origin)))
        if multiplier > 0 and deviation > 0:
            slope = multiplier / deviation * direction
            gradient += slope
            offset -= float(slope @ origin) + multiplier * limit
    return LinearModel(offset, gradient)


Linearised = tuple[float, LinearModel, float]


def _variance(instance: Instance, weights: FloatArray, _evidence: Evidence) -> Linearised:
    gradient = 2.0 * instance.covariance.times(weights)
    value = max(0.5 * float(gradient @ weights), 0.0)
    return value, LinearModel(-value, gradient), SMALL**2 * instance.variance_scale


def _return(instance: Instance, weights: FloatArray, _evidence: Evidence) -> Linearised:
    value = instance.region.cost(weights) - float(instance.mean @ weights)
    return value, LinearModel(0.0, -instance.mean, 1.0), SMALL * instance.return_scale


def _cvar(instance: Instance, weights: FloatArray, evidence: Evidence) -> Linearised:
    outcomes = instance.net(weights)
    share = evidence.scenario_weights
    if share is None:
        share = tail_weights(outcomes, instance.tail)
    share = within_tail(share, instance.tail)
    value = -float(tail_weights(outcomes, instance.tail) @ outcomes)
    model = LinearModel(0.0, -(instance.excess.T @ share), 1.0)
    return value, model, SMALL * instance.return_scale


def _utility(instance: Instance, weights: FloatArray, _evidence: Evidence) -> Linearised:
    aversion = instance.problem.risk_aversion
    loss = instance.region.cost(weights) - float(instance.mean @ weights)
    risk = instance.covariance.variance(weights)
    gradient = aversion * instance.covariance.times(weights) - instance.mean
    model = LinearModel(-aversion / 2 * risk, gradient, 1.0)
    return loss + aversion / 2 * risk, model, SMALL * instance.return_scale


def _mad(instance: Instance, weights: FloatArray, evidence: Evidence) -> Linearised:
    centred = instance.centred
    outcomes = centred @ weights
    signs = np.sign(outcomes) if evidence.scenario_weights is None else evidence.scenario_weights
    gradient = centred.T @ np.clip(signs, -1.0, 1.0) / len(outcomes)
    value = float(np.abs(outcomes).mean())
    return value, LinearModel(0.0, gradient), SMALL * instance.return_scale


def _drawdown(instance: Instance, weights: FloatArray, evidence: Evidence) -> Linearised:
    risk_free = instance.problem.period_risk_free_rate
    tail = instance.tail if instance.objective == Objective.MINIMIZE_CDAR else 0.0
    outcomes = instance.net(weights) + risk_free
    total = np.cumsum(outcomes)
    falls = np.maximum(np.maximum.accumulate(total), 0.0) - total
    value = float(tail_weights(-falls, tail) @ falls)
    share = evidence.scenario_weights
    if share is None:
        share = np.zeros(len(outcomes))
    weight = float(share.sum())
    model = LinearModel(-risk_free * weight, -(instance.excess.T @ share), weight)
    return value, model, SMALL * instance.return_scale


_MODELS: Mapping[Objective, Callable[[Instance, FloatArray, Evidence], Linearised]] = {
    Objective.MINIMIZE_VARIANCE: _variance,
    Objective.MAXIMIZE_RETURN: _return,
    Objective.MINIMIZE_CVAR: _cvar,
    Objective.MAXIMIZE_UTILITY: _utility,
    Objective.MINIMIZE_MAD: _mad,
    Objective.MINIMIZE_CDAR: _drawdown,
    Objective.MINIMIZE_MAX_DRAWDOWN: _drawdown,
}


def ratio_parts(instance: Instance, weights: FloatArray) -> RatioParts:
    """A ratio's numerator and denominator at a portfolio."""
    numerator = float(instance.gain @ weights) - instance.gain_costs * instance.region.cost(weights)
    if instance.objective != Objective.MAXIMIZE_SORTINO:
        direction = instance.covariance.times(weights)
        squared = float(direction @ weights)
        if squared <= CANCELLED * instance.variance_scale:
            squared = instance.covariance.variance(weights)  # by a sum of squares where it can
        deviation = math.sqrt(squared)
        return RatioParts(numerator, deviation, direction / (deviation or 1.0), 0.0)
    shortfall = np.maximum(-instance.net(weights), 0.0)
    norm = float(np.linalg.norm(shortfall))
    root = float(np.sqrt(len(shortfall)))
    share = shortfall / ((norm or 1.0) * root)
    slope = -(instance.excess.T @ share)
    return RatioParts(numerator, norm / root, slope, float(share.sum()))


def _certify_ratio(
    instance: Instance, weights: FloatArray, evidence: Evidence, parts: RatioParts
) -> Certificate:
    """Raise a bound on the ratio until no portfolio of the linear model exceeds it (Dinkelbach)."""
    rounding = RISKLESS * instance.gain_scale * float(np.abs(weights).sum())
    if parts.denominator <= 0 or max(parts.numerator, parts.denominator) <= rounding:
        raise SolverFailureError("the portfolio has no risk, so its ratio has no certificate")
    ratio, price_scale = parts.ratio, 1.0 / parts.denominator
    cones = cone_model(instance, weights, evidence)

    def least(bound: float) -> LinearOptimum:
        gradient, cost_weight = parts.model(instance, bound)
        return minimise_linear(gradient + cones.gradient, instance.region, cost_weight)

    bound = ratio
    linear = first = least(ratio)
    for _ in range(RATIO_ROUNDS):
        excess = -(linear.value + cones.offset)
        risk = float(parts.slope @ linear.weights)
        risk += parts.cost_slope * instance.region.cost(linear.weights)
        if risk <= 0 and excess > 0:
            break
        step = max(excess, 0.0) / max(risk, np.finfo(np.float64).tiny)
        bound += step
        if step <= ROUNDING * abs(bound):
            return Certificate(-ratio, (bound - ratio) / abs(ratio), first, price_scale)
        linear = least(bound)
    excess = max(-(first.value + cones.offset), 0.0)
    gap = _gap_of_excess(instance, excess, parts, cones)
    bounded = gap if gap < USELESS else float("inf")
    return Certificate(-ratio, bounded, first, price_scale)


def _gap_of_excess(
    instance: Instance, excess: float, parts: RatioParts, cones: LinearModel
) -> float:
    """The gap where no portfolio gains more than the ratio times its risk by more than an excess.

    A risk below a small share of a typical asset's counts as that share: some portfolio may have
    no risk and no gain, and rounding alone would promise it any ratio.
    """
    least = min(SMALL * math.sqrt(instance.variance_scale), parts.denominator)
    gap = excess / (least * abs(parts.ratio))
    if gap <= PROVEN:
        return gap
    if holds_nothing(instance.region) and not any(cones.gradient):
        return min(gap, _gap_on_cone(instance, parts))
    return min(gap, excess / (lowest_risk(instance) * abs(parts.ratio)))


def _gap_on_cone(instance: Instance, parts: RatioParts) -> float:
    """The gap where all cash is feasible, so that no portfolio has a least risk.

    Scale every portfolio to an excess return of one. Those of no more risk than this one lie
    within a radius that the smallest singular value of the returns gives, and inside it the
    linear model bounds the risk from below.
    """
    risk = parts.denominator / parts.numerator
    if instance.objective == Objective.MAXIMIZE_SORTINO:
        root, least = instance.excess / np.sqrt(len(instance.excess)), 0.0
        # The mean absolute outcome of such a portfolio is at most 1 + 2·risk, so the root mean
        # square at most √T times that; a standard deviation needs no such detour.
        reach = np.sqrt(len(root)) * (1.0 + 2.0 * risk)
    else:
        root, least = instance.covariance.root(), math.sqrt(instance.covariance.ridge)
        reach = risk
    if len(root) >= root.shape[1]:
        least = max(least, float(np.linalg.svd(root, compute_uv=False).min()))
    if least <= 0 or instance.region.has_costs:
        return float("inf")
    cone = cone_of(instance.region.without_trades())
    radius = reach / least
    ball = replace(
        cone,
        lower=np.maximum(cone.lower, -radius),
        upper=np.minimum(cone.upper, radius),
    )
    gradient, _ = parts.model(instance, parts.ratio)
    excess = max(-minimise_linear(gradient, ball).value, 0.0)
    return excess / (1.0 - excess) if excess < 1.0 else float("inf")


def lowest_risk(instance: Instance) -> float:
    """A positive lower bound of the ratio's denominator over the region, or the least float.

    Some portfolios may have a negative slope of risk, where raising the bound on the ratio does
    not help; but none can exceed it by more than its excess over the least risk there is. Trades
    and leverage are left free, and costs out: that only lowers the bound.
    """
    region, floor = instance.region.without_trades(), float(np.finfo(np.float64).tiny)
    free = instance.without_deviations().with_region(region)
    best = floor
    if instance.objective != Objective.MAXIMIZE_SORTINO:
        # Near a benchmark that is risky itself, everything is.
        risks = ((instance.covariance.variance(b), limit) for _, limit, b in instance.cones)
        best = max([floor, *(float(np.sqrt(risk)) - limit for risk, limit in risks)])
    if best > floor:
        return best
    calmest = import_module("optimization.engine.convex.least_risk").least_risk(free)
    return max(floor, minimise_linear(ratio_parts(free, calmest).slope, region).value)

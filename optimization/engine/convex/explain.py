"""What holds the optimum back, in plain units and in words."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.certificate import Certificate, Evidence
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.region import Row
from optimization.engine.problem import TRADING_DAYS, BindingConstraint, FloatArray, Objective

LARGEST = 25
"""How many binding constraints are reported, largest shadow price first."""

AT_BOUND = 1e-9
WORTH = 1e-7
"""Smallest shadow price reported, relative to the metric's own size."""

YEAR = float(np.sqrt(TRADING_DAYS))


@dataclass(frozen=True)
class Metric:
    """The figure that an objective moves.

    Attributes:
        name: In words.
        verb: What an improvement does to it: ``"adds"`` or ``"takes"``.
        per_unit: Its change per unit of the objective per period.
        size: Its own size, to tell a price from rounding.
        fraction: Whether people read it in percent.
    """

    name: str
    verb: str
    per_unit: float
    size: float
    fraction: bool = True

    def sentence(self, change: str, gain: float) -> str:
        """``"raising X by 1 % adds 0.004 to the Sharpe ratio"``."""
        preposition = "to" if self.verb == "adds" else "off"
        amount = f"{100 * gain:.2g} percentage points" if self.fraction else f"{gain:.2g}"
        return f"{change} {self.verb} {amount} {preposition} {self.name}"


_METRICS = {
    Objective.MAXIMIZE_SHARPE: ("the Sharpe ratio", "adds", YEAR),
    Objective.MAXIMIZE_SORTINO: ("the Sortino ratio", "adds", YEAR),
    Objective.MAXIMIZE_RETURN: ("the expected return", "adds", TRADING_DAYS),
    Objective.MAXIMIZE_UTILITY: ("the expected utility", "adds", TRADING_DAYS),
    Objective.MAXIMIZE_DIVERSIFICATION: ("the diversification ratio", "adds", 1.0),
    Objective.MINIMIZE_CVAR: ("the one-day CVaR", "takes", 1.0),
    Objective.MINIMIZE_MAD: ("the mean absolute deviation per day", "takes", 1.0),
    Objective.MINIMIZE_CDAR: ("the conditional drawdown at risk", "takes", 1.0),
    Objective.MINIMIZE_MAX_DRAWDOWN: ("the largest summed drawdown", "takes", 1.0),
}
_RATIOS = {
    "the Sharpe ratio",
    "the Sortino ratio",
    "the expected utility",
    "the diversification ratio",
}


def metric_of(instance: Instance, certificate: Certificate) -> Metric:
    """The metric that an objective's shadow prices are quoted in."""
    value = abs(certificate.value)
    if instance.objective == Objective.MINIMIZE_VARIANCE:
        deviation = float(np.sqrt(value))
        slope = YEAR / (2 * deviation) if deviation else 0.0
        return Metric("the expected volatility", "takes", slope, YEAR * deviation)
    name, verb, unit = _METRICS[instance.objective]
    return Metric(name, verb, unit, unit * value, fraction=name not in _RATIOS)


def figure_of(instance: Instance, cost: float) -> float:
    """A cost per period in the units of the metric that it moves."""
    if instance.objective == Objective.MINIMIZE_VARIANCE:
        return YEAR * float(np.sqrt(max(cost, 0.0)))
    _, verb, unit = _METRICS[instance.objective]
    return -unit * cost if verb == "adds" else unit * cost


def binding_constraints(
    instance: Instance, weights: FloatArray, certificate: Certificate, evidence: Evidence
) -> tuple[BindingConstraint, ...]:
    """The constraints that hold the optimum back, the costliest first."""
    metric = metric_of(instance, certificate)
    unit = certificate.price_scale * metric.per_unit
    floor = WORTH * metric.size
    found = [*_assets(instance, weights, certificate, (metric, unit, floor))]
    found += [
        BindingConstraint(
            name=name,
            symbol=None,
            bound=bound,
            shadow_price=price * unit,
            sentence=metric.sentence(change, 0.01 * price * unit),
        )
        for name, bound, price, change in _portfolio(instance, weights, certificate, evidence)
        if price * unit > floor
    ]
    found.sort(key=lambda item: -item.shadow_price)
    return tuple(found[:LARGEST])


def _assets(
    instance: Instance,
    weights: FloatArray,
    certificate: Certificate,
    scale: tuple[Metric, float, float],
) -> list[BindingConstraint]:
    (metric, unit, floor), region = scale, instance.region
    prices = certificate.linear.reduced * unit
    at_low = (weights <= region.lower + AT_BOUND) & (prices > floor)
    at_high = (weights >= region.upper - AT_BOUND) & (prices < -floor)
    candidates = np.flatnonzero(at_low | at_high)
    candidates = candidates[np.argsort(-np.abs(prices[candidates]), kind="stable")][:LARGEST]
    found = []
    for asset in candidates.tolist():
        symbol, price = instance.problem.symbols[asset], float(abs(prices[asset]))
        side = "min_weight" if at_low[asset] else "max_weight"
        bound = float(region.lower[asset] if at_low[asset] else region.upper[asset])
        verb = "lowering" if at_low[asset] else "raising"
        found.append(
            BindingConstraint(
                name=_field_of(instance, symbol, side),
                symbol=symbol,
                bound=bound,
                shadow_price=price,
                sentence=metric.sentence(f"{verb} {side} of {symbol} by 1 %", 0.01 * price),
            )
        )
    return found


def _field_of(instance: Instance, symbol: str, side: str) -> str:
    own = instance.problem.constraints.asset_bounds.get(symbol)
    if own is not None and getattr(own, side) is not None:
        return f"constraints.asset_bounds.{symbol}.{side}"
    if side == "min_weight" and instance.problem.constraints.min_weight is None:
        return "constraints.long_only"
    return f"constraints.{side}"


def _portfolio(
    instance: Instance, weights: FloatArray, certificate: Certificate, evidence: Evidence
) -> Iterator[tuple[str, float, float, str]]:
    """Field, bound, price in the objective's units per unit of the field, and the change."""
    linear, region = certificate.linear, instance.region
    if linear.budget > 0 and region.budget_low == region.budget_high:
        yield "constraints.sum_to_one", 1.0, linear.budget, "holding 1 % of the capital as cash"
    elif linear.budget < 0 and weights.sum() >= region.budget_high - AT_BOUND:
        yield "constraints.sum_to_one", 1.0, -linear.budget, "borrowing 1 % of the capital"
    for row, price in zip(region.rows, linear.rows.tolist(), strict=True):
        yield _row(row, price)
    if np.isfinite(region.turnover):
        change = "raising max_turnover by 1 %"
        yield "constraints.max_turnover", region.turnover, -linear.turnover, change
    if np.isfinite(region.leverage):
        change = "raising max_leverage by 1 %"
        yield "constraints.max_leverage", region.leverage, -linear.leverage, change
    for name, limit, _ in instance.cones:
        price = evidence.cone_multipliers.get(name, 0.0) / YEAR
        yield name, limit * YEAR, price, f"raising {name.rpartition('.')[2]} by 1 %"


def _row(row: Row, price: float) -> tuple[str, float, float, str]:
    """A row's entry; a positive price belongs to its smallest value, else to its largest."""
    word, bound = (
        ("lowering the smallest", row.low) if price > 0 else ("raising the largest", row.high)
    )
    part = "" if row.label.startswith("the ") else " weight of"
    label = row.label.removeprefix("the ")
    return row.field, bound / row.unit, abs(price) * row.unit, f"{word}{part} {label} by 1 %"

"""What holds the optimum back, in plain units and in words."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimization.engine.convex.certificate import Certificate, Evidence
from optimization.engine.convex.instance import TRACKING_ERROR, VOLATILITY, Instance
from optimization.engine.convex.linear import LinearOptimum, minimise_linear
from optimization.engine.convex.region import TARGET_RETURN, Region, Row
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import TRADING_DAYS, BindingConstraint, FloatArray, Objective

LARGEST = 25
"""How many binding constraints are reported, largest shadow price first."""

AT_BOUND = 1e-9
EASE = 1e-6
"""How far a constraint is eased to see what that is worth, in units of weight."""

WORTH = 1e-7
"""Smallest shadow price reported, relative to the metric's own size."""

SMALL_FRACTION = 1e-4
"""Below a hundredth of a percentage point a fraction is told in basis points."""

YEAR = float(np.sqrt(TRADING_DAYS))

WORDS = {
    VOLATILITY: "the target volatility",
    TRACKING_ERROR: "the largest tracking error",
}
"""How sentences call what a limit on a deviation limits."""


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
        """``"raising the largest weight of X by 1 % adds 0.004 to the Sharpe ratio"``."""
        preposition = "to" if self.verb == "adds" else "off"
        return f"{change} {self.verb} {self._amount(gain)} {preposition} {self.name}"

    def _amount(self, gain: float) -> str:
        if not self.fraction:
            return two_digits(gain)
        if gain < SMALL_FRACTION:
            return f"{two_digits(1e4 * gain)} basis points"
        return f"{two_digits(100 * gain)} percentage points"


def two_digits(value: float) -> str:
    """A number to two digits, without an exponent: 0.000046, 120."""
    return str(np.format_float_positional(value, precision=2, fractional=False, trim="-"))


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
    prices = Prices.at(instance, weights, certificate.linear)
    unit = certificate.price_scale * metric.per_unit
    floor = WORTH * metric.size
    found = [*_assets(instance, weights, prices, (metric, unit, floor))]
    found += [
        BindingConstraint(
            name=name,
            symbol=None,
            bound=bound,
            shadow_price=price * unit,
            sentence=metric.sentence(change, 0.01 * price * unit),
        )
        for name, bound, price, change in _portfolio(instance, weights, prices, evidence)
        if price * unit > floor
    ]
    found.sort(key=lambda item: -item.shadow_price)
    return tuple(found[:LARGEST])


@dataclass(frozen=True)
class Prices:
    """What relaxing a constraint is worth, in the objective's units.

    Where more constraints meet in the optimum than are needed to hold it there, as with ten assets
    at a largest weight of 10 %, their multipliers are not unique and most of them promise too
    much. The worth is then the slope of the linear model's own minimum, which counts what
    the other constraints allow. Under bounds and a budget alone the budget's multipliers are an
    interval, and the end of it that promises less tells every slope.

    Attributes:
        region: The constraints.
        linear: The minimum of the linear model, with one set of multipliers.
        gradient: The linear model, shape (n,), if multipliers are not unique, else None.
        value: Its minimum.
        span: The budget's smallest and largest multiplier, if there is nothing but bounds.
    """

    region: Region
    linear: LinearOptimum
    gradient: FloatArray | None = None
    value: float = 0.0
    span: tuple[float, float] | None = None

    @classmethod
    def at(cls, instance: Instance, weights: FloatArray, linear: LinearOptimum) -> "Prices":
        """The prices at an optimum."""
        region = instance.region
        if not region.is_linear:
            return cls(region, linear)
        free = (weights > region.lower + AT_BOUND) & (weights < region.upper - AT_BOUND)
        values = region.limits.matrix @ weights
        held = (values <= region.limits.low + AT_BOUND) | (values >= region.limits.high - AT_BOUND)
        if np.count_nonzero(free) >= np.count_nonzero(held):
            return cls(region, linear)
        if region.is_box:
            return cls(region, linear, span=_span(region, weights, linear.reduced + linear.budget))
        gradient = linear.reduced + linear.budget + linear.rows @ region.matrix
        return cls(region, linear, gradient, minimise_linear(gradient, region).value)

    def of(self, multiplier: float, **eased: Any) -> float:
        """The price of a constraint: its multiplier, or what the eased region is worth more."""
        if self.gradient is None:
            return multiplier
        try:
            other = minimise_linear(self.gradient, replace(self.region, **eased))
        except InfeasibleProblemError:
            return 0.0  # e.g. assets that are full already cannot take what is borrowed
        return max(self.value - other.value, 0.0) / EASE

    def of_bound(self, asset: int, multiplier: float, *, is_low: bool) -> float:
        """The price of an asset's own smallest or largest weight."""
        if self.span is not None:
            cost = float(self.linear.reduced[asset]) + self.linear.budget
            return max(cost - self.span[1] if is_low else self.span[0] - cost, 0.0)
        side, sign = ("lower", -1.0) if is_low else ("upper", 1.0)
        bounds = getattr(self.region, side).copy()
        bounds[asset] += sign * EASE
        return self.of(multiplier, **{side: bounds})

    def of_row(self, number: int, multiplier: float) -> float:
        """The price of a row's smallest value, if its multiplier is positive, or its largest."""
        row = self.region.rows[number]
        low, high = (row.low - EASE, row.high) if multiplier > 0 else (row.low, row.high + EASE)
        rows = list(self.region.rows)
        rows[number] = replace(row, low=low, high=high)
        return self.of(abs(multiplier), rows=tuple(rows))

    def of_budget(self, change: float) -> float:
        """The price of a smaller (−1) or a larger (+1) sum of the weights."""
        if self.span is not None:
            return max(self.span[0] if change < 0 else -self.span[1], 0.0)
        low, high = self.region.budget_low, self.region.budget_high
        moved = high + change * EASE
        return self.of(
            max(-change * self.linear.budget, 0.0),
            budget_low=moved if low == high else low,
            budget_high=moved,
        )


def _span(region: Region, weights: FloatArray, gradient: FloatArray) -> tuple[float, float]:
    """The budget's multipliers: from the costliest weight that can fall to the cheapest to rise."""
    falling = gradient[weights > region.lower + AT_BOUND]
    rising = gradient[weights < region.upper - AT_BOUND]
    low, high = float(falling.max(initial=-np.inf)), float(rising.min(initial=np.inf))
    total = float(weights.sum())
    if region.budget_low != region.budget_high:  # what is not invested is cash, at no cost
        low = max(low, 0.0) if total < region.budget_high - AT_BOUND else low
        high = min(high, 0.0) if total > region.budget_low + AT_BOUND else high
    return low, high


def _assets(
    instance: Instance,
    weights: FloatArray,
    prices: Prices,
    scale: tuple[Metric, float, float],
) -> list[BindingConstraint]:
    (metric, unit, floor), region = scale, instance.region
    reduced = prices.linear.reduced
    at_low = (weights <= region.lower + AT_BOUND) & (reduced * unit > floor)
    at_high = (weights >= region.upper - AT_BOUND) & (reduced * unit < -floor)
    candidates = np.flatnonzero(at_low | at_high)
    candidates = candidates[np.argsort(-np.abs(reduced[candidates]), kind="stable")][:LARGEST]
    found = []
    for asset in candidates.tolist():
        symbol, is_low = instance.problem.symbols[asset], bool(at_low[asset])
        price = unit * prices.of_bound(asset, float(abs(reduced[asset])), is_low=is_low)
        if price <= floor:
            continue
        side = "min_weight" if is_low else "max_weight"
        name = _field_of(instance, symbol, side)
        found.append(
            BindingConstraint(
                name=name,
                symbol=symbol,
                bound=float(region.lower[asset] if is_low else region.upper[asset]),
                shadow_price=price,
                sentence=metric.sentence(_change(name, side, symbol), 0.01 * price),
            )
        )
    return found


def _change(name: str, side: str, symbol: str) -> str:
    if name == "constraints.long_only":
        return f"selling 1 % of {symbol} short"
    verb, word = ("lowering", "smallest") if side == "min_weight" else ("raising", "largest")
    return f"{verb} the {word} weight of {symbol} by 1 %"


def _field_of(instance: Instance, symbol: str, side: str) -> str:
    own = instance.problem.constraints.asset_bounds.get(symbol)
    if own is not None and getattr(own, side) is not None:
        return f"constraints.asset_bounds.{symbol}.{side}"
    constraints = instance.problem.constraints
    if side == "min_weight" and constraints.min_weight is None:
        # A short position's smallest weight left out is the largest weight with its sign turned.
        return "constraints.long_only" if constraints.long_only else "constraints.max_weight"
    return f"constraints.{side}"


def _portfolio(
    instance: Instance, weights: FloatArray, prices: Prices, evidence: Evidence
) -> Iterator[tuple[str, float, float, str]]:
    """Field, bound, price in the objective's units per unit of the field, and the change."""
    linear, region = prices.linear, instance.region
    if region.budget_low == region.budget_high:
        change = "holding 1 % of the capital as cash"
        yield "constraints.sum_to_one", 1.0, prices.of_budget(-1.0), change
    if weights.sum() >= region.budget_high - AT_BOUND:
        change = "borrowing 1 % of the capital"
        yield "constraints.sum_to_one", 1.0, prices.of_budget(1.0), change
    for number, price in enumerate(linear.rows.tolist()):
        # A deviation of nothing has no price by the unit.
        if price and region.rows[number].field not in WORDS:
            yield _row(region.rows[number], price, prices.of_row(number, price))
    if np.isfinite(region.turnover):
        change = "raising the largest turnover by 1 %"
        yield "constraints.max_turnover", region.turnover, -linear.turnover, change
    if np.isfinite(region.leverage):
        change = "raising the largest leverage by 1 %"
        yield "constraints.max_leverage", region.leverage, -linear.leverage, change
    for name, limit, _ in instance.cones:
        price = evidence.cone_multipliers.get(name, 0.0) / YEAR
        yield name, limit * YEAR, price, f"raising {WORDS[name]} by 1 %"


def _row(row: Row, multiplier: float, price: float) -> tuple[str, float, float, str]:
    """A row's entry; a positive multiplier belongs to its smallest value, else to its largest."""
    verb, word, bound = (
        ("lowering", "smallest", row.low) if multiplier > 0 else ("raising", "largest", row.high)
    )
    limited = f"the {word} weight of {row.label}"
    if row.field == TARGET_RETURN:
        limited = "the target return"
    return row.field, bound / row.unit, price * row.unit, f"{verb} {limited} by 1 %"

"""The constraints and objectives of an instance as CVXPY expressions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.convex.region import TARGET_RETURN, Region
from optimization.engine.convex.tail import drawdown_weights
from optimization.engine.problem import FloatArray, Objective

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight


@dataclass(frozen=True)
class Form:
    """A problem in homogeneous coordinates: y = κw, with κ = 1 unless a ratio is maximised."""

    weights: Any
    scale: Any
    cost: Any
    constraints: list[Any]


def make_form(instance: Instance, *, homogeneous: bool, with_cones: bool = True) -> Form:
    """Variables and constraints; homogeneous ones for a ratio, and cones unless left out."""
    region, n = instance.region, instance.region.n_assets
    y = cp.Variable(n)
    scale: Any = cp.Variable(nonneg=True) if homogeneous else 1.0
    total = cp.sum(y)
    constraints = [y >= scale * region.lower, y <= scale * region.upper]
    if region.budget_low == region.budget_high:
        constraints.append(total == scale * region.budget_high)
    else:
        constraints.append(total <= scale * region.budget_high)
        if np.isfinite(region.budget_low):
            constraints.append(total >= scale * region.budget_low)
    traded = cp.abs(y - scale * region.current)
    # Costs are counted in units of a typical return, as everything else in the objective is.
    cost: Any = 0.0
    if region.has_costs:
        # A variable of its own: a drawdown between two periods counts it once for each in between,
        # which is convex, although the wealth in either of them is not.
        cost = cp.Variable(nonneg=True)
        constraints.append(cost >= (region.costs / instance.return_scale) @ traded)
    constraints += _rows(region, instance, y, scale, cost)
    if np.isfinite(region.turnover):
        constraints.append(cp.sum(traded) <= scale * region.turnover)
    if np.isfinite(region.leverage):
        constraints.append(cp.norm1(y) <= scale * region.leverage)
    if with_cones and instance.cones:
        root = instance.covariance.root()
        constraints += [
            cp.norm(root @ (y - scale * origin) / limit, 2) <= scale
            for _, limit, origin in instance.cones
        ]
    return Form(y, scale, cost, constraints)


def _rows(region: Region, instance: Instance, y: Any, scale: Any, cost: Any) -> list[Any]:
    constraints = []
    for row in region.rows:
        unit = instance.return_scale if row.field == TARGET_RETURN else 1.0
        value = (row.coefficients / unit) @ y
        if row.field == TARGET_RETURN:
            value = value - cost
        if np.isfinite(row.low):
            constraints.append(value >= scale * (row.low / unit))
        if np.isfinite(row.high):
            constraints.append(value <= scale * (row.high / unit))
    return constraints


Built = tuple[Any, list[Any], Callable[[], FloatArray] | None]
"""Objective, further constraints, and what reads the scenarios' weights off the solution."""


def _variance(instance: Instance, form: Form) -> Built:
    root = instance.covariance.root() / np.sqrt(instance.variance_scale)
    return cp.sum_squares(root @ form.weights), [], None


def _return(instance: Instance, form: Form) -> Built:
    return form.cost - (instance.mean / instance.return_scale) @ form.weights, [], None


def _net(instance: Instance, form: Form) -> Any:
    return (instance.excess / instance.return_scale) @ form.weights - form.cost


def _cvar(instance: Instance, form: Form) -> Built:
    periods = instance.excess.shape[0]
    level, beyond = cp.Variable(), cp.Variable(periods, nonneg=True)
    tail = beyond >= -_net(instance, form) - level
    return level + cp.sum(beyond) / (instance.tail * periods), [tail], lambda: _dual(tail)


def _dual(constraint: Any) -> FloatArray:
    return np.asarray(constraint.dual_value, dtype=np.float64)


def _mad(instance: Instance, form: Form) -> Built:
    centred = (instance.excess - instance.mean) / instance.return_scale
    size = cp.Variable(len(centred))
    above, below = size >= centred @ form.weights, size >= -(centred @ form.weights)
    return (
        cp.sum(size) / len(centred),
        [above, below],
        lambda: (_dual(above) - _dual(below)) * len(centred),
    )


def _drawdown(instance: Instance, form: Form, tail: float) -> Built:
    """Conditional drawdown of summed returns; a tail of one period is the maximum."""
    periods = len(instance.excess)
    risk_free = instance.problem.period_risk_free_rate / instance.return_scale
    elapsed = np.arange(1, periods + 1)
    total = (np.cumsum(instance.excess, axis=0) / instance.return_scale) @ form.weights
    total = total + elapsed * (risk_free - form.cost)
    peak, level = cp.Variable(periods, nonneg=True), cp.Variable()
    beyond = cp.Variable(periods, nonneg=True)
    fallen, reached = beyond >= peak - total - level, peak >= total
    rising = [peak[1:] >= peak[:-1]] if periods > 1 else []
    return (
        level + cp.sum(beyond) / max(tail * periods, 1.0),
        [fallen, reached, *rising],
        lambda: drawdown_weights(_dual(fallen), _dual(reached), tail),
    )


def _cdar(instance: Instance, form: Form) -> Built:
    return _drawdown(instance, form, instance.tail)


def _max_drawdown(instance: Instance, form: Form) -> Built:
    return _drawdown(instance, form, 0.0)


def _utility(instance: Instance, form: Form) -> Built:
    root = instance.covariance.root() / np.sqrt(instance.return_scale)
    gain = (instance.mean / instance.return_scale) @ form.weights - form.cost
    return instance.problem.risk_aversion / 2 * cp.sum_squares(root @ form.weights) - gain, [], None


def _ratio(instance: Instance, form: Form) -> Built:
    risk, extra = denominator(instance, form)
    return risk, [*extra, _unit_excess(instance, form)], None


def denominator(instance: Instance, form: Form) -> tuple[Any, list[Any]]:
    """The squared risk that a ratio divides by, in a unit of its own, and its constraints."""
    if instance.objective != Objective.MAXIMIZE_SORTINO:
        root = instance.covariance.root() / np.sqrt(instance.variance_scale)
        return cp.sum_squares(root @ form.weights), []
    shortfall = cp.Variable(instance.excess.shape[0], nonneg=True)
    periods = np.sqrt(instance.excess.shape[0])
    return cp.sum_squares(shortfall), [shortfall >= -_net(instance, form) / periods]


def _unit_excess(instance: Instance, form: Form) -> Any:
    """Excess return of one, net of costs: the normalisation that makes a ratio convex."""
    unit = float(np.abs(instance.gain).max()) or 1.0
    gain = (instance.gain / unit) @ form.weights
    if instance.objective != Objective.MAXIMIZE_DIVERSIFICATION:
        gain = gain - form.cost * (instance.return_scale / unit)
    return gain >= 1.0


BUILDERS: Mapping[Objective, Callable[[Instance, Form], Built]] = {
    Objective.MINIMIZE_VARIANCE: _variance,
    Objective.MAXIMIZE_RETURN: _return,
    Objective.MINIMIZE_CVAR: _cvar,
    Objective.MAXIMIZE_SHARPE: _ratio,
    Objective.MAXIMIZE_SORTINO: _ratio,
    Objective.MAXIMIZE_DIVERSIFICATION: _ratio,
    Objective.MAXIMIZE_UTILITY: _utility,
    Objective.MINIMIZE_MAD: _mad,
    Objective.MINIMIZE_CDAR: _cdar,
    Objective.MINIMIZE_MAX_DRAWDOWN: _max_drawdown,
}

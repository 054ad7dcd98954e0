"""Linear objectives over a region: by sorting where bounds and budget are all, else by HiGHS."""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.highs import solve_rows
from optimization.engine.convex.lifting import Lifting
from optimization.engine.convex.region import ROUNDING, Region
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import FloatArray


@dataclass(frozen=True)
class LinearOptimum:
    """The minimum of g'w (+ costs) over a region, with its multipliers.

    Attributes:
        weights: Where it is attained, shape (n,).
        value: g'w + cost(w) there.
        budget: Change of the value per unit of budget.
        rows: Change of the value per unit of each row's limit, shape (m,).
        turnover: Change of the value per unit of turnover, at most 0.
        leverage: Change of the value per unit of leverage, at most 0.
        reduced: g less the multipliers' part, shape (n,): what each bound costs.
    """

    weights: FloatArray
    value: float
    budget: float
    rows: FloatArray
    turnover: float
    leverage: float
    reduced: FloatArray


def minimise_linear(
    gradient: FloatArray, region: Region, cost_weight: float = 0.0
) -> LinearOptimum:
    """Minimise gradient'w + cost_weight · cost(w) over the region.

    Args:
        gradient: Shape (n,).
        region: Where.
        cost_weight: How much a unit of trading cost counts.

    Raises:
        InfeasibleProblemError: The region is empty.
        SolverFailureError: HiGHS gave up.
    """
    if region.is_box:
        return _fill(gradient, region)
    return _simplex(gradient, region, cost_weight)


def _fill(gradient: FloatArray, region: Region) -> LinearOptimum:
    """The continuous knapsack: raise the cheapest weights first until the budget is used.

    Raises:
        InfeasibleProblemError: The bounds do not let the budget be met.
    """
    weights, room, total = region.lower.copy(), region.room, region.least
    order = gradient.argsort(kind="stable")
    filled = room[order].cumsum()
    filled += total
    short = float(filled[-1]) < region.budget_low - ROUNDING
    if short or total > region.budget_high + ROUNDING:
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    budget, stop = region.budget_high, None
    if region.budget_low != budget:
        # Raise every asset of negative cost, as far as the budget goes; more if it must be used.
        wanted = int(np.count_nonzero(gradient < 0))
        stop = float(filled[wanted - 1]) if wanted else total
        budget = min(max(stop, region.budget_low), budget)
    whole = int(filled.searchsorted(budget))
    full = order[:whole]
    weights[full] = region.upper[full]
    if whole < len(order):
        before = float(filled[whole - 1]) if whole else total
        last = order[whole]
        weights[last] += min(max(budget - before, 0.0), float(room[last]))
    multiplier = 0.0
    if budget != stop:
        multiplier = float(gradient[order[min(whole, len(order) - 1)]])
    return LinearOptimum(
        weights=weights,
        value=float(gradient @ weights),
        budget=multiplier,
        rows=np.zeros(0),
        turnover=0.0,
        leverage=0.0,
        reduced=gradient - multiplier,
    )


def _simplex(gradient: FloatArray, region: Region, cost_weight: float) -> LinearOptimum:
    """The general case."""
    lifting, scale = Lifting(region), float(np.abs(gradient).max()) or 1.0
    objective, fixed = lifting.along(gradient / scale), 0.0
    if region.has_costs:
        paid, fixed = lifting.traded(region.costs * cost_weight)
        objective = objective + paid / scale
    rows = lifting.rows()
    outcome = solve_rows(objective, *lifting.bounds(region.lower, region.upper), rows)
    multipliers = outcome.row_duals * scale / rows.scales
    falling, rising = lifting.reduced(outcome.column_duals * scale, region.lower, region.upper)
    turnover, leverage = lifting.turnover_row, lifting.leverage_row
    return LinearOptimum(
        weights=np.clip(lifting.weights(outcome.x), region.lower, region.upper),
        value=outcome.bound * scale + fixed,
        budget=float(multipliers[0]),
        rows=multipliers[1 : 1 + len(region.rows)],
        turnover=float(multipliers[turnover]) if turnover else 0.0,
        leverage=float(multipliers[leverage]) if leverage else 0.0,
        reduced=np.maximum(falling, 0.0) + np.minimum(rising, 0.0),
    )

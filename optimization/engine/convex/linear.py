"""Linear objectives over a region: by sorting where bounds and budget are all, else by HiGHS."""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.highs import Rows, solve_rows
from optimization.engine.convex.region import ROUNDING, TARGET_RETURN, Region
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
    """The general case; trades and absolute weights are split into positive parts."""
    n, scale = region.n_assets, float(np.abs(gradient).max()) or 1.0
    layout = Layout.of(region)
    objective = np.zeros(layout.columns)
    objective[:n] = gradient / scale
    if region.has_costs:
        objective[layout.trades] = np.tile(region.costs, 2) * (cost_weight / scale)
    rows = polyhedron(region, layout)
    lower = np.concatenate([region.lower, np.zeros(layout.columns - n)])
    upper = np.concatenate([region.upper, np.full(layout.columns - n, np.inf)])
    outcome = solve_rows(objective, lower, upper, rows)
    multipliers = outcome.row_duals * scale / rows.scales
    m = len(region.rows)
    weights = np.clip(outcome.x[:n], region.lower, region.upper)
    return LinearOptimum(
        weights=weights,
        value=outcome.bound * scale,
        budget=float(multipliers[0]),
        rows=multipliers[1 : 1 + m],
        turnover=float(multipliers[layout.turnover_row]) if layout.turnover_row else 0.0,
        leverage=float(multipliers[layout.leverage_row]) if layout.leverage_row else 0.0,
        reduced=outcome.column_duals[:n] * scale,
    )


@dataclass(frozen=True)
class Layout:
    """Where the lifted variables and rows of a region stand.

    Attributes:
        columns: Number of variables: w, then buys and sells, then longs and shorts.
        trades: Columns of buys and sells.
        sides: Columns of longs and shorts.
        turnover_row: Row of the turnover limit, or 0 without one.
        leverage_row: Row of the leverage limit, or 0 without one.
    """

    columns: int
    trades: slice
    sides: slice
    turnover_row: int
    leverage_row: int

    @classmethod
    def of(cls, region: Region) -> "Layout":
        """The layout for a region."""
        n, row = region.n_assets, 1 + len(region.rows)
        end = n + 2 * n * region.trades
        has_leverage = bool(np.isfinite(region.leverage))
        has_turnover = bool(np.isfinite(region.turnover))
        return cls(
            columns=end + 2 * n * has_leverage,
            trades=slice(n, end),
            sides=slice(end, end + 2 * n * has_leverage),
            turnover_row=row if has_turnover else 0,
            leverage_row=row + has_turnover if has_leverage else 0,
        )


def polyhedron(region: Region, layout: Layout) -> Rows:
    """The rows of a region over its lifted variables; every row is scaled to 1."""
    n, rows = region.n_assets, Rows(layout.columns)
    first = np.arange(n)
    trades, sides = (np.arange(layout.columns)[part] for part in (layout.trades, layout.sides))
    rows.add(first, np.ones(n), region.budget_low, region.budget_high)
    for row in region.rows:
        if row.field == TARGET_RETURN and region.has_costs:
            columns = np.concatenate([first, trades])
            values = np.concatenate([row.coefficients, -np.tile(region.costs, 2)])
            rows.add(columns, values, row.low, row.high)
        else:
            rows.add(first, row.coefficients, row.low, row.high)
    if layout.turnover_row:
        rows.add(trades, np.ones(2 * n), -np.inf, region.turnover)
    if layout.leverage_row:
        rows.add(sides, np.ones(2 * n), -np.inf, region.leverage)
    for columns, origin in ((trades, region.current), (sides, np.zeros(n))):
        if len(columns):
            index = np.column_stack([first, columns[:n], columns[n:]])
            rows.add_alike(index, np.array([1.0, -1.0, 1.0]), origin, origin)
    return rows

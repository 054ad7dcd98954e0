"""Whole lots: bounds and portfolios rounded to multiples of what one lot of each asset weighs."""

import numpy as np

from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.feasible import SLACK
from optimization.engine.problem import FloatArray

_ALMOST = 1e-9
"""A bound this close to a whole lot, in lots, is that lot."""


def snap_bounds(
    lower: FloatArray, upper: FloatArray, lots: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The bounds drawn in to whole lots; all arrays have the shape (n,).

    Raises:
        InfeasibleProblemError: Between some asset's bounds lies no whole lot, or the smallest
            holdings cost more than the capital.
    """
    snapped_lower = np.ceil(lower / lots - _ALMOST) * lots
    snapped_upper = np.floor(upper / lots + _ALMOST) * lots
    fields = ["constraints.lot_size", "constraints.capital"]
    if (snapped_lower > snapped_upper).any():
        raise InfeasibleProblemError(
            "no whole number of lots lies between the bounds of some asset; raise capital or widen"
            " the bounds",
            [*fields, "constraints.min_weight", "constraints.max_weight"],
        )
    if not snapped_upper.any() and not snapped_lower.any():
        raise InfeasibleProblemError(
            f"the bounds allow no lot of any asset; the cheapest is {lots.min():.3g} of the"
            " capital: raise capital or max_weight",
            [*fields, "constraints.max_weight"],
        )
    if snapped_lower.sum() > 1.0 + SLACK:
        raise InfeasibleProblemError(
            "the fewest lots that min_weight asks for cost more than the capital; raise capital or"
            " lower min_weight",
            [*fields, "constraints.min_weight"],
        )
    return snapped_lower, snapped_upper


def whole_lots(
    weights: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    lots: FloatArray,
    budget: tuple[float, float],
) -> FloatArray:
    """Round portfolios to whole lots within bounds and budget.

    Each weight goes to the nearest lot; where that leaves the budget, the weights that rounding
    moved furthest in that direction go to the lot on their other side, one by one. As the budget
    is at least one lot wide, each step ends on the budget or before it.

    Args:
        weights: Within bounds and budget, shape (p, n).
        bounds: Smallest and largest weights, whole lots, shape (p, n) each.
        lots: Weight of one lot, shape (n,).
        budget: Smallest and largest sum, at least the dearest lot apart.
    """
    exact = weights / lots
    fewest, most = np.rint(bounds[0] / lots), np.rint(bounds[1] / lots)
    counts = np.minimum(np.maximum(np.rint(exact), fewest), most)
    _step_back(counts, exact, lots, budget[1])
    _step_back(counts, exact, -lots, -budget[0])
    return np.asarray(counts * lots + 0.0)  # no negative zeros


def _step_back(counts: FloatArray, exact: FloatArray, lots: FloatArray, limit: float) -> None:
    """Undo roundings in place, the largest first, until Σ counts·lots ≤ limit in every row."""
    direction = np.sign(lots[0])
    totals = counts @ lots
    over = np.flatnonzero(totals > limit + SLACK)
    if not over.size:
        return
    moved = direction * (counts[over] - exact[over])
    order = np.argsort(-moved, axis=1, kind="stable")
    totals, changed, rows = totals[over], counts[over], np.arange(over.size)
    for column in order.T:
        step = (totals > limit + SLACK) & (moved[rows, column] > 0)
        if not step.any():
            break
        changed[rows, column] -= direction * step
        totals -= step * np.abs(lots[column])
    counts[over] = changed

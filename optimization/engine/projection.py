"""Exact Euclidean projection onto bounds per asset and a budget, for many points at once."""

import numpy as np

from optimization.engine.feasible import FeasibleSet
from optimization.engine.problem import FloatArray

_MAX_SHIFT_STEPS = 200
"""Far beyond need: halving alone shrinks a bracket of doubles to one point in about 60 steps."""


def project(points: FloatArray, feasible: FeasibleSet) -> FloatArray:
    """The nearest feasible portfolio, in the Euclidean norm, to each point.

    Args:
        points: Finite, shape (n,) or (p, n); rows are projected independently.
        feasible: Not empty.

    Returns:
        The shape of ``points``; bounds hold exactly and the budget to rounding (1e-12).
    """
    rows = np.atleast_2d(points)
    lower = np.broadcast_to(feasible.lower, rows.shape)
    upper = np.broadcast_to(feasible.upper, rows.shape)
    budget = (feasible.budget_low, feasible.budget_high)
    return project_rows(rows, lower, upper, budget).reshape(np.shape(points))


def project_rows(
    points: FloatArray, lower: FloatArray, upper: FloatArray, budget: tuple[float, float]
) -> FloatArray:
    """The same with bounds of its own for every row: all arrays have the shape (p, n).

    The nearest point is clip(y − τ, lower, upper) for the one shift τ that meets the budget. The
    sum falls with τ along straight pieces, so Newton steps inside a shrinking bracket find τ
    after a few pieces, without sorting. Held, Wolfe and Crowder, *Validation of subgradient
    optimization* (1974), section 3.
    """
    nearest = np.minimum(np.maximum(points, lower), upper)
    totals = nearest.sum(axis=1)
    targets = np.clip(totals, *budget)
    outside = np.flatnonzero(totals != targets)
    if outside.size == len(points):
        return _meet_budget(points, lower, upper, targets)
    if outside.size:
        nearest[outside] = _meet_budget(
            points[outside], lower[outside], upper[outside], targets[outside]
        )
    return nearest


def _meet_budget(
    points: FloatArray, lower: FloatArray, upper: FloatArray, targets: FloatArray
) -> FloatArray:
    """clip(points − τ, lower, upper) with the row sums ``targets`` of shape (p,)."""
    assets = points.shape[1]
    low, high = (points - upper).min(axis=1), (points - lower).max(axis=1)
    shift = np.clip((points.sum(axis=1) - targets) / assets, low, high)
    nearest = points
    for step in range(_MAX_SHIFT_STEPS):
        moved = points - shift[:, None]
        nearest = np.minimum(np.maximum(moved, lower), upper)
        excess = nearest.sum(axis=1) - targets
        low, high = np.where(excess > 0, shift, low), np.where(excess > 0, high, shift)
        free = ((moved > lower) & (moved < upper)).sum(axis=1)
        newton = shift + excess / np.maximum(free, 1)
        # Between two long pieces Newton can creep, so every fourth step halves the bracket.
        usable = (free > 0) & (newton >= low) & (newton <= high) & (step % 4 != 3)
        following = np.where(usable, newton, 0.5 * (low + high))
        settled = np.abs(excess) <= 1e-15 * assets
        if (settled | (following == shift) | (high - low <= 0)).all():
            break
        shift = np.where(settled, shift, following)
    return _share_remainder(nearest, lower, upper, targets)


def _share_remainder(
    nearest: FloatArray, lower: FloatArray, upper: FloatArray, targets: FloatArray
) -> FloatArray:
    """Share what rounding left of each budget among the weights strictly between their bounds.

    A large τ costs its digits in every weight alike, so equal shares also restore the distance.
    """
    for _ in range(2):
        remainder = targets - nearest.sum(axis=1)
        if not remainder.any():
            break
        free = (nearest > lower) & (nearest < upper)
        stuck = ~free.any(axis=1)
        if stuck.any():
            room = np.where(remainder[:, None] > 0, nearest < upper, nearest > lower)
            free[stuck] = room[stuck]
        share = remainder / np.maximum(free.sum(axis=1), 1)
        nearest = np.minimum(np.maximum(nearest + free * share[:, None], lower), upper)
    return nearest

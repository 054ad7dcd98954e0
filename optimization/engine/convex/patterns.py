"""Limits on traded and absolute weights, by the sign patterns that exceed them.

Σ|w − c| ≤ L is s'(w − c) ≤ L for every pattern s of signs. A programme needs only the patterns that
its optimum would exceed: solve, add those, and solve again until there are none. As each is a limit
that every portfolio keeps, the last optimum is that of the whole region.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from optimization.engine.convex.region import TARGET_RETURN, Region, Row
from optimization.engine.problem import FloatArray

ALLOWED = 1e-9
"""Excess over a limit that is rounding."""


def exceeded_patterns(
    region: Region, weights: FloatArray, allowed: float = ALLOWED
) -> Iterator[Row]:
    """Rows that cut off weights which trade or borrow too much, or earn too little net of costs.

    Args:
        region: Whose limits.
        weights: Shape (n,).
        allowed: Excess over a limit that is none.
    """
    if region.is_linear:
        return
    signs = _signs(weights - region.current, region, region.current)
    traded = float(np.abs(weights - region.current).sum())
    if traded > region.turnover + allowed:
        limit = region.turnover + float(signs @ region.current)
        yield Row("constraints.max_turnover", "the turnover", signs, -np.inf, limit)
    if float(np.abs(weights).sum()) > region.leverage + allowed:
        sides = _signs(weights, region, np.zeros(len(weights)))
        yield Row("constraints.max_leverage", "the leverage", sides, -np.inf, region.leverage)
    if not region.has_costs:
        return
    for row in region.rows:
        net = float(row.coefficients @ weights) - region.cost(weights)
        if row.field == TARGET_RETURN and net < row.low - allowed * row.unit:
            charged = signs * region.costs
            low = row.low - float(charged @ region.current)
            yield replace(row, coefficients=row.coefficients - charged, low=low)


def _signs(away: FloatArray, region: Region, origin: FloatArray) -> FloatArray:
    """Signs of what is away from an origin, by the bounds where those allow but one."""
    signs = np.where(region.lower >= origin, 1.0, np.sign(away))
    return np.asarray(np.where(region.upper <= origin, -1.0, signs))

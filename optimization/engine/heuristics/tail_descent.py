"""From a portfolio to the nearest local optimum of value at risk, by linear programmes.

With the days beyond the value at risk held fixed, the least it can be is the least largest loss of
the other days: a linear programme. Its portfolio has other days beyond, so the value falls from one
to the next until it stays. Larsen, Mausser and Uryasev discard days in the same way (*Algorithms
for optimization of value-at-risk*, 2002).
"""

import numpy as np

from optimization.engine.convex.highs import TOLERANCE, add_row, check_optimal, new_highs
from optimization.engine.feasible import FeasibleSet
from optimization.engine.measures import value_at_risk, whole_periods
from optimization.engine.problem import FloatArray

ROUNDS = 50
SETTLED = 1e-12
"""Relative fall of the value at risk that is rounding."""

JOINING = 10
"""Days that join a linear programme at a time: the worst of those that it does not know yet."""


def descend(
    returns: FloatArray, tail: float, feasible: FeasibleSet, start: FloatArray
) -> FloatArray:
    """Weights, shape (n,), of a value at risk no larger than that of ``start``.

    Args:
        returns: Shape (T, n); over the risk-free rate if there is cash.
        tail: Share of the days that may lose more.
        feasible: Which portfolios there are.
        start: One of them.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    days = len(returns)
    beyond = min(whole_periods(tail * days), days - 1)
    weights, least = start, float(value_at_risk(start, returns, tail))
    for _ in range(ROUNDS):
        order = np.argsort(returns @ weights, kind="stable")
        moved = _least_largest_loss(returns[order[beyond:]], feasible)
        value = float(value_at_risk(moved, returns, tail))
        if value >= least - SETTLED * abs(least):
            break
        weights, least = moved, value
    return weights


def _least_largest_loss(days: FloatArray, feasible: FeasibleSet) -> FloatArray:
    """The portfolio whose worst day is best; days that cannot be it are left out."""
    count, n = days.shape
    scale = float(np.abs(days).max()) or 1.0
    highs = new_highs()
    for low, high in zip(feasible.lower, feasible.upper, strict=True):
        highs.addVar(float(low), float(high))
    highs.addVar(-np.inf, np.inf)
    highs.changeColCost(n, 1.0)
    columns = np.arange(n + 1)
    add_row(highs, columns[:n], np.ones(n), feasible.budget_low, feasible.budget_high)
    joining = np.arange(min(2 * n, count))
    known = np.zeros(count, dtype=np.bool_)
    while joining.size:
        for day in joining:
            add_row(highs, columns, np.append(days[day] / scale, 1.0), 0.0, np.inf)
        known[joining] = True
        highs.run()
        check_optimal(highs)
        x = np.array(highs.getSolution().col_value)
        weights = np.clip(x[:n], feasible.lower, feasible.upper)
        outcomes = days @ weights / scale
        missed = np.flatnonzero(~known & (outcomes < -x[n] - TOLERANCE))
        joining = missed[np.argsort(outcomes[missed], kind="stable")[:JOINING]]
    return np.asarray(weights)

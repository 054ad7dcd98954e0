"""Minimum drawdowns by cutting planes: the falls that a portfolio meets bound those of all.

A drawdown at t is the largest fall from an earlier peak, so that any peak gives a bound which is
linear in the weights. The largest drawdown is bounded by every pair of a peak and a trough. The
conditional one adds up what lies beyond a level in groups of periods that follow each other, each
with cuts of its own: Künzi-Bay and Mayer, *Computational aspects of minimizing conditional
value-at-risk* (2006), with several cuts at a time.
"""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.cut_model import CutModel
from optimization.engine.convex.cuts import Cuts
from optimization.engine.convex.falls import (
    GROUPS,
    Drawdowns,
    Falls,
    HoldingFalls,
    drawdowns_of,
)
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.least_variance import least_variance
from optimization.engine.convex.quadratic import WHOLE, IntArray
from optimization.engine.convex.region import Region
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

FIRST_REACH, GROWTH = 0.4, 1.2
"""Share of the way to the cuts' optimum that is gone, and its growth with every portfolio that is
better than the last: a few cuts know little of what lies far away."""

FIRST_ASSETS, OTHER_ASSETS = 30, 10
"""Assets to begin with besides those of the first portfolio: of a guess, and of an optimum."""

ROUNDS = 1000
EXACT = 1e-12
FEASIBLE = 1e-11


@dataclass(frozen=True)
class DrawdownStart:
    """Where a solution begins.

    Attributes:
        weights: A portfolio near the optimum, shape (n,), feasible or not.
        holding: The falls that held it, or None.
    """

    weights: FloatArray
    holding: HoldingFalls | None


@dataclass(frozen=True)
class DrawdownOptimum:
    """The portfolio of the least drawdown.

    Attributes:
        weights: Shape (n,).
        share: How much each period counts in the bound that certifies it, shape (T,).
        solver: What solved the linear programmes.
        for_later: Where the next solution of nearly the same problem begins.
    """

    weights: FloatArray
    share: FloatArray
    solver: str
    for_later: DrawdownStart


class _Cutting:
    """Cuts a model with falls, each of them once, and keeps what they were."""

    def __init__(self, drawdowns: Drawdowns, model: CutModel) -> None:
        self._drawdowns, self._model = drawdowns, model
        self._found: list[Falls] = []
        self._fresh: list[bool] = []
        self._known: set[tuple[int, bytes]] = set()

    def cut(self, falls: Falls) -> bool:
        """Give the model what is new in these falls: whether anything is."""
        return self.take(falls, self._drawdowns.cuts(falls))

    def take(self, falls: Falls, cuts: Cuts) -> bool:
        """The same where it is known already what cuts they make."""
        names = cuts.names()
        fresh = [name not in self._known for name in names]
        if not any(fresh):
            return False
        self._known.update(names)
        self._found.append(falls)
        self._fresh += fresh
        self._model.add(cuts if all(fresh) else cuts.only(fresh))
        return True

    def optimum(self, weights: FloatArray) -> DrawdownOptimum:
        """Weights with what holds them there: the falls whose cuts have a multiplier."""
        falls, multipliers = Falls.joined(self._found), np.zeros(len(self._fresh))
        multipliers[self._fresh] = self._model.multipliers
        held = multipliers > 0
        holding = self._drawdowns.hold(falls.only(held)) if held.any() else None
        share = self._drawdowns.weigh(falls, multipliers)
        return DrawdownOptimum(weights, share, self._model.solver, DrawdownStart(weights, holding))


def minimise_drawdown(instance: Instance, start: DrawdownStart | None = None) -> DrawdownOptimum:
    """Minimise the largest or the conditional drawdown of summed returns over a linear region.

    Args:
        instance: The problem.
        start: Where the last solution of nearly the same problem ended, or None.

    Raises:
        SolverFailureError: The cuts did not settle.
    """
    drawdowns = drawdowns_of(instance)
    begun = [] if start is None else [start.weights]
    if start is None or instance.region.violation(start.weights) > FEASIBLE:
        # What a region that has moved leaves out tells of falls, but may be better than what is in.
        begun.append(least_variance(instance))
    best, reach = begun[-1], FIRST_REACH
    known = drawdowns.recall(start.holding) if start and start.holding else None
    least, falls = drawdowns.in_units_of(best)
    others = FIRST_ASSETS if start is None else OTHER_ASSETS
    cuts = drawdowns.cuts(falls)
    assets = _first_assets(instance.region, best, cuts, others)
    model = CutModel(instance.region, GROUPS, assets)
    cutting = _Cutting(drawdowns, model)
    if known is not None:
        cutting.cut(known)
        model.begin_at(best)
        reach = 1.0
    cutting.take(falls, cuts)
    for portfolio in begun[:-1]:
        cutting.cut(drawdowns.at(portfolio)[1])
    for _ in range(ROUNDS):
        optimum = model.solve()
        query = optimum.weights if reach == 1.0 else best + reach * (optimum.weights - best)
        value, falls = drawdowns.at(query)
        if value <= least:
            best, least, reach = query, value, min(1.0, GROWTH * reach)
        if least - optimum.bound <= EXACT * max(least, 1.0):
            if not model.join():
                break
            continue
        if cutting.cut(falls):
            continue
        # All is known of this portfolio's own level, perhaps not of the level that the cuts take.
        _, falls = drawdowns.at(optimum.weights, optimum.level)
        if not cutting.cut(falls) and query is optimum.weights and not model.join():
            break  # what is left is rounding
        reach = 1.0
    else:
        raise SolverFailureError("falls were cut off without end")
    return cutting.optimum(best)


def _first_assets(region: Region, best: FloatArray, cuts: Cuts, others: int) -> IntArray:
    """The assets that a portfolio holds, and those that would make its falls smaller."""
    if region.n_assets <= WHOLE or not region.is_long:
        return np.arange(region.n_assets)
    assets = best > region.lower
    assets[np.argsort(cuts.slopes.sum(axis=0))[:others]] = True
    return np.flatnonzero(assets)

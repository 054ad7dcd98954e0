"""Minimum drawdowns by cutting planes: the falls that a portfolio meets bound those of all.

A drawdown at t is the largest fall from an earlier peak, so that any peak gives a bound which is
linear in the weights. The largest drawdown is bounded by every pair of a peak and a trough. The
conditional one adds up what lies beyond a level in groups of periods that follow each other, each
with cuts of its own: Künzi-Bay and Mayer, *Computational aspects of minimizing conditional
value-at-risk* (2006), with several cuts at a time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optimization.engine.convex.cuts import CutModel, Cuts
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.quadratic import IntArray
from optimization.engine.convex.smoothing import least_variance
from optimization.engine.convex.tail import drawdown_weights
from optimization.engine.errors import SolverFailureError
from optimization.engine.measures import whole_periods
from optimization.engine.problem import FloatArray, Objective

GROUPS = 30
"""Stretches of periods with cuts of their own: more of them take fewer rounds, and longer ones."""

DEEP, MOST_FALLS = 0.7, 10
"""Falls of which a cut is made: those that come near the largest, and how many of them."""

FIRST_REACH, GROWTH = 0.4, 1.2
"""Share of the way to the cuts' optimum that is gone, and its growth with every portfolio that is
better than the last: a few cuts know little of what lies far away."""

ROUNDS = 1000
EXACT = 1e-12
FEASIBLE = 1e-12
ROUNDING = 1e-6
"""A drawdown this small beside the assets' own is no unit."""


class Falls(NamedTuple):
    """Falls of which the parts of a cut are made.

    Attributes:
        starts: Where each peak lies, as the number of periods before it, shape (m,).
        ends: Where each fall ends, as the number of periods up to there, shape (m,).
        counts: Falls of each cut, shape (k,).
        share: What a fall counts in its cut.
    """

    starts: IntArray
    ends: IntArray
    counts: IntArray
    share: float

    def without(self, known: set[bytes]) -> "Falls":
        """Those of cuts that are not known yet, and are from now on."""
        starts, ends, begin = self.starts.tobytes(), self.ends.tobytes(), 0
        fresh = []
        for size in (self.counts * self.ends.itemsize).tolist():
            end = begin + size
            name = starts[begin:end] + ends[begin:end]
            fresh.append(name not in known)
            known.add(name)
            begin = end
        if all(fresh):
            return self
        kept = np.repeat(fresh, self.counts)
        return Falls(self.starts[kept], self.ends[kept], self.counts[fresh], self.share)


@dataclass(frozen=True)
class DrawdownOptimum:
    """The portfolio of the least drawdown.

    Attributes:
        weights: Shape (n,).
        share: How much each period counts in the bound that certifies it, shape (T,).
        solver: What solved the linear programmes.
    """

    weights: FloatArray
    share: FloatArray
    solver: str


class _Drawdowns:
    """The drawdowns of portfolios, and the cuts they give, in units of one of them."""

    def __init__(self, instance: Instance) -> None:
        count, n = instance.excess.shape
        self.periods, region = count, instance.region
        self.totals = np.zeros((count + 1, n))
        self.interest: FloatArray | None = None
        # What is fully invested earns no interest, which may dwarf what the assets do.
        invested = region.budget_low == region.budget_high == 1.0
        returns = instance.problem.returns if invested else instance.excess
        np.cumsum(returns, axis=0, out=self.totals[1:])
        if not invested:
            self.interest = instance.problem.period_risk_free_rate * np.arange(count + 1)
        conditional = instance.objective == Objective.MINIMIZE_CDAR
        self.tail = instance.tail if conditional else 0.0
        self.beyond = max(self.tail * count, 1.0)
        self.stretch = -(-count // GROUPS)

    def measure_in(self, drawdown: float) -> None:
        """Count in units of this drawdown from here on, or of the returns where it is rounding."""
        unit = max(drawdown, ROUNDING * float(np.abs(self.totals).max())) or 1.0
        self.totals /= unit
        if self.interest is not None:
            self.interest /= unit

    def at(self, weights: FloatArray, level: float | None = None) -> tuple[float, Falls]:
        """The drawdown of a portfolio, and the falls that bound that of every other.

        Args:
            weights: Shape (n,).
            level: Beyond which falls count; without one, beyond that of the tail.
        """
        wealth = self.totals @ weights
        if self.interest is not None:
            wealth += self.interest
        peaks = np.maximum.accumulate(wealth)
        falls = peaks - wealth
        value, ends = self._in_tail(falls) if self.tail else self._deepest(falls)
        if self.tail and level is not None:
            ends = np.flatnonzero(falls[1:] > level) + 1
        starts = np.searchsorted(peaks, peaks[ends])
        if not self.tail:
            return value, Falls(starts, ends, np.ones_like(ends), 1.0)
        counts = np.bincount((ends - 1) // self.stretch)
        return value, Falls(starts, ends, counts[counts > 0], 1.0 / self.beyond)

    def _deepest(self, falls: FloatArray) -> tuple[float, IntArray]:
        """The largest fall, and where those that come near it end."""
        worst = float(falls.max())
        deep = falls >= DEEP * worst
        deep[1:] &= falls[1:] >= falls[:-1]
        deep[:-1] &= falls[:-1] >= falls[1:]
        ends = np.flatnonzero(deep)
        if len(ends) > MOST_FALLS:
            ends = ends[np.argsort(falls[ends])[-MOST_FALLS:]]
        return worst, ends

    def _in_tail(self, falls: FloatArray) -> tuple[float, IntArray]:
        """The mean of the worst falls, and where they end."""
        whole = min(whole_periods(self.beyond), self.periods - 1)
        # The start of all is no period, and no fall ends there.
        place = self.periods - whole - 1
        order = falls[1:].argpartition(place)[place:] + 1
        level, ends = float(falls[order[0]]), np.sort(order[1:])
        return level + (float(falls[ends].sum()) - whole * level) / self.beyond, ends

    def cuts(self, falls: Falls) -> Cuts:
        """What falls say about other portfolios."""
        starts, ends, counts, share = falls
        first = counts.cumsum() - counts
        none, offsets = not self.tail, np.zeros(len(first))
        slopes = np.add.reduceat(self.totals[starts] - self.totals[ends], first, axis=0)
        if self.interest is not None:
            earned = self.interest[ends] - self.interest[starts]
            offsets = -share * np.add.reduceat(earned, first)
        return Cuts(
            slopes=share * slopes,
            offsets=offsets,
            counts=(0.0 if none else share) * counts.astype(np.float64),
            groups=np.zeros_like(first) if none else (ends[first] - 1) // self.stretch,
        )


class _Cutting:
    """Cuts a model with falls, each of them once, and keeps what they were."""

    def __init__(self, drawdowns: _Drawdowns, model: CutModel) -> None:
        self._drawdowns, self._model = drawdowns, model
        self._found: list[Falls] = []
        self._known: set[bytes] = set()

    def cut(self, falls: Falls) -> bool:
        """Give the model what is new in these falls: whether anything is."""
        fresh = falls.without(self._known)
        if not len(fresh.counts):
            return False
        self._found.append(fresh)
        self._model.add(self._drawdowns.cuts(fresh))
        return True

    def share(self, multipliers: FloatArray) -> FloatArray:
        """How much each period counts, from the multipliers of all cuts, shape (T,)."""
        drawdowns, found = self._drawdowns, self._found
        counts = np.concatenate([falls.counts for falls in found])
        weights = np.repeat(multipliers, counts) * found[0].share
        starts = np.concatenate([falls.starts for falls in found])
        ends = np.concatenate([falls.ends for falls in found])
        fallen, reached = (
            np.bincount(places, weights, drawdowns.periods + 1)[1:].astype(np.float64)
            for places in (ends, starts)
        )
        return drawdown_weights(fallen, reached, drawdowns.tail)


def minimise_drawdown(instance: Instance, start: FloatArray | None = None) -> DrawdownOptimum:
    """Minimise the largest or the conditional drawdown of summed returns over a linear region.

    Args:
        instance: The problem.
        start: A portfolio near the optimum, shape (n,), feasible or not, or None.

    Raises:
        SolverFailureError: The cuts did not settle.
    """
    drawdowns, model = _Drawdowns(instance), CutModel(instance.region, GROUPS)
    cutting = _Cutting(drawdowns, model)
    begun = [] if start is None else [start]
    if start is None or instance.region.violation(start) > FEASIBLE:
        # What a region that has moved leaves out tells of falls, but may be better than what is in.
        begun.append(least_variance(instance))
    best = begun[-1]
    drawdowns.measure_in(drawdowns.at(best)[0])
    for portfolio in begun:
        least, falls = drawdowns.at(portfolio)
        cutting.cut(falls)
    reach = FIRST_REACH
    for _ in range(ROUNDS):
        optimum = model.solve()
        query = optimum.weights if reach == 1.0 else best + reach * (optimum.weights - best)
        value, falls = drawdowns.at(query)
        if value <= least:
            best, least, reach = query, value, min(1.0, GROWTH * reach)
        if least - optimum.bound <= EXACT * max(least, 1.0):
            break
        if cutting.cut(falls):
            continue
        # All is known of this portfolio's own level, perhaps not of the level that the cuts take.
        _, falls = drawdowns.at(optimum.weights, optimum.level)
        if not cutting.cut(falls) and query is optimum.weights:
            break  # what is left is rounding
        reach = 1.0
    else:
        raise SolverFailureError("falls were cut off without end")
    return DrawdownOptimum(best, cutting.share(optimum.multipliers), model.solver)

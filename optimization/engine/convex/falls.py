"""The falls that portfolios meet, from a peak of their summed returns to where they are lower."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from optimization.engine.convex.cuts import Cuts
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.quadratic import IntArray
from optimization.engine.convex.tail import drawdown_weights
from optimization.engine.measures import whole_periods
from optimization.engine.problem import FloatArray, Objective

GROUPS = 30
"""Stretches of periods with cuts of their own: more of them take fewer rounds, and longer ones."""

DEEP, MOST_FALLS = 0.7, 10
"""Falls of which a cut is made: those that come near the largest, and how many of them."""

ROUNDING = 1e-6
"""A drawdown this small beside the assets' own is no unit."""


class Parts(NamedTuple):
    """How falls are put together into cuts.

    Attributes:
        counts: Falls of each cut, in their order, shape (k,).
        groups: The group of each cut, shape (k,).
        leaning: How much of the level each cut takes, shape (k,).
    """

    counts: IntArray
    groups: IntArray
    leaning: FloatArray


class Falls(NamedTuple):
    """Falls, and the cuts that they make.

    Attributes:
        starts: Where each peak lies, as the number of periods before it, shape (m,).
        ends: Where each fall ends, as the number of periods up to there, shape (m,).
        parts: Their cuts.
    """

    starts: IntArray
    ends: IntArray
    parts: Parts

    def without(self, known: set[bytes]) -> "Falls":
        """Those of cuts that are not known yet, and are from now on."""
        starts, ends, begin = self.starts.tobytes(), self.ends.tobytes(), 0
        counts, groups, leaning = self.parts
        fresh = []
        for size in (counts * self.ends.itemsize).tolist():
            end = begin + size
            name = starts[begin:end] + ends[begin:end]
            fresh.append(name not in known)
            known.add(name)
            begin = end
        if all(fresh):
            return self
        kept, parts = np.repeat(fresh, counts), Parts(counts[fresh], groups[fresh], leaning[fresh])
        return Falls(self.starts[kept], self.ends[kept], parts)


class Drawdowns(ABC):
    """The drawdowns of portfolios, and the cuts that their falls make.

    Args:
        instance: The problem.
        tail: Share of the periods that counts; 0 for the worst one alone.

    Attributes:
        periods: T.
        tail: The same.
        beyond: How many periods that are.
        share: What a fall counts in its cut.
    """

    def __init__(self, instance: Instance, tail: float) -> None:
        count, n = instance.excess.shape
        self.periods, self.tail, region = count, tail, instance.region
        self.beyond = max(tail * count, 1.0)
        self.share = 1.0 / self.beyond
        self._totals = np.zeros((count + 1, n))
        self._interest: FloatArray | None = None
        # What is fully invested earns no interest, which may dwarf what the assets do.
        invested = region.budget_low == region.budget_high == 1.0
        returns = instance.problem.returns if invested else instance.excess
        np.cumsum(returns, axis=0, out=self._totals[1:])
        if not invested:
            self._interest = instance.problem.period_risk_free_rate * np.arange(count + 1)

    def measure_in(self, drawdown: float) -> None:
        """Count in units of this drawdown from here on, or of the returns where it is rounding."""
        unit = max(drawdown, ROUNDING * float(np.abs(self._totals).max())) or 1.0
        self._totals /= unit
        if self._interest is not None:
            self._interest /= unit

    def at(self, weights: FloatArray, level: float | None = None) -> tuple[float, Falls]:
        """The drawdown of a portfolio, and the falls that bound that of every other.

        Args:
            weights: Shape (n,).
            level: Beyond which falls count; without one, beyond that of the tail.
        """
        wealth = self._totals @ weights
        if self._interest is not None:
            wealth += self._interest
        peaks = np.maximum.accumulate(wealth)
        falls = peaks - wealth
        value, ends = self._worst(falls, level)
        starts = np.searchsorted(peaks, peaks[ends])
        return value, Falls(starts, ends, self._parts(ends))

    @abstractmethod
    def _worst(self, falls: FloatArray, level: float | None, /) -> tuple[float, IntArray]:
        """The drawdown, and where the falls end of which cuts are made."""

    @abstractmethod
    def _parts(self, ends: IntArray) -> Parts:
        """The cuts that falls make, from where they end."""

    def cuts(self, falls: Falls) -> Cuts:
        """What falls say about other portfolios."""
        starts, ends, parts = falls
        first = parts.counts.cumsum() - parts.counts
        fallen = self._totals.take(starts, axis=0) - self._totals.take(ends, axis=0)
        lost = np.add.reduceat(fallen, first, axis=0)
        offsets = np.zeros(len(first))
        if self._interest is not None:
            earned = self._interest[ends] - self._interest[starts]
            offsets = -self.share * np.add.reduceat(earned, first)
        return Cuts(self.share * lost, offsets, parts.leaning, parts.groups)

    def weigh(self, found: list[Falls], multipliers: FloatArray) -> FloatArray:
        """How much each period counts, from the multipliers of all cuts, shape (T,)."""
        counts = np.concatenate([falls.parts.counts for falls in found])
        weights = np.repeat(multipliers, counts) * self.share
        starts = np.concatenate([falls.starts for falls in found])
        ends = np.concatenate([falls.ends for falls in found])
        fallen, reached = (
            np.bincount(places, weights, self.periods + 1)[1:].astype(np.float64)
            for places in (ends, starts)
        )
        return drawdown_weights(fallen, reached, self.tail)


class LargestDrawdown(Drawdowns):
    """The largest fall; every deep one is a cut."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, 0.0)

    def _worst(self, falls: FloatArray, _level: float | None, /) -> tuple[float, IntArray]:
        worst = float(falls.max())
        deep = falls >= DEEP * worst
        deep[1:] &= falls[1:] >= falls[:-1]
        deep[:-1] &= falls[:-1] >= falls[1:]
        ends = np.flatnonzero(deep)
        if len(ends) > MOST_FALLS:
            ends = ends[np.argsort(falls[ends])[-MOST_FALLS:]]
        return worst, ends

    def _parts(self, ends: IntArray) -> Parts:
        return Parts(np.ones_like(ends), np.zeros_like(ends), np.zeros(len(ends)))


class TailDrawdown(Drawdowns):
    """The mean of the worst falls, added up beyond a level in stretches of periods."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, instance.tail)
        self._stretch = -(-self.periods // GROUPS)

    def _worst(self, falls: FloatArray, level: float | None, /) -> tuple[float, IntArray]:
        whole = min(whole_periods(self.beyond), self.periods - 1)
        # The start of all is no period, and no fall ends there.
        place = self.periods - whole - 1
        order = falls[1:].argpartition(place)[place:] + 1
        last, ends = float(falls[order[0]]), np.sort(order[1:])
        value = last + (float(falls[ends].sum()) - whole * last) / self.beyond
        return value, ends if level is None else np.flatnonzero(falls[1:] > level) + 1

    def _parts(self, ends: IntArray) -> Parts:
        counts = np.bincount((ends - 1) // self._stretch)
        groups = np.flatnonzero(counts)
        return Parts(counts[groups], groups, self.share * counts[groups])


def drawdowns_of(instance: Instance) -> Drawdowns:
    """Those that the problem's objective minimises."""
    if instance.objective == Objective.MINIMIZE_CDAR:
        return TailDrawdown(instance)
    return LargestDrawdown(instance)

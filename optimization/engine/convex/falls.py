"""The falls that portfolios meet, from a peak of their summed returns to where they are lower."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optimization.engine.convex.cuts import Cuts
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.quadratic import IntArray, Mask
from optimization.engine.convex.tail import drawdown_weights
from optimization.engine.measures import whole_periods
from optimization.engine.problem import FloatArray, Objective

STRETCHES = 30
"""Stretches of periods with cuts of their own: more of them take fewer rounds, and longer ones."""

GROUPS = STRETCHES + 1
"""One more, for a window may begin within a stretch."""

DEEP, MOST_FALLS = 0.7, 10
"""Falls of which a cut is made: those that come near the largest, and how many of them."""

ROUNDING = 1e-6
"""A drawdown this small beside the returns of a period is no unit."""


class Falls(NamedTuple):
    """Falls, one after the other in the cuts that they make.

    Attributes:
        starts: Where each peak lies, as the number of periods before it, shape (m,).
        ends: Where each fall ends, as the number of periods up to there, shape (m,).
        first: The first fall of each cut, shape (k,).
        counts: Falls of each cut, shape (k,).
        groups: The group of each cut, shape (k,).
    """

    starts: IntArray
    ends: IntArray
    first: IntArray
    counts: IntArray
    groups: IntArray

    @classmethod
    def of(cls, starts: IntArray, ends: IntArray, counts: IntArray, groups: IntArray) -> "Falls":
        """Those of cuts that have so many each."""
        return cls(starts, ends, counts.cumsum() - counts, counts, groups)

    @classmethod
    def joined(cls, parts: list["Falls"]) -> "Falls":
        """All cuts of several, in their order."""
        starts, ends, _, counts, groups = map(np.concatenate, zip(*parts, strict=True))
        return cls.of(starts, ends, counts, groups)

    def only(self, kept: Mask) -> "Falls":
        """Those of some cuts, given by a mask of shape (k,)."""
        inside, counts = kept.repeat(self.counts), self.counts[kept]
        return Falls.of(self.starts[inside], self.ends[inside], counts, self.groups[kept])

    def from_next(self) -> "Falls":
        """What is left of them for a window that begins a period later."""
        inside = self.ends > 1
        counts = np.add.reduceat(inside.astype(np.intp), self.first)
        kept = counts > 0
        starts, ends = np.maximum(self.starts[inside] - 1, 0), self.ends[inside] - 1
        return Falls.of(starts, ends, counts[kept], self.groups[kept])


@dataclass(frozen=True)
class HoldingFalls:
    """The falls whose cuts hold an optimum.

    Attributes:
        falls: At least one.
        periods: T.
        ahead: By how many periods the first stretch begins before the window.
        second: The second row of the returns, with which the next window begins, shape (n,).
    """

    falls: Falls
    periods: int
    ahead: int
    second: FloatArray


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
        self._unit, self._rounding = 1.0, ROUNDING * instance.return_scale
        self._totals = np.zeros((count + 1, n))
        self._interest: FloatArray | None = None
        # What is fully invested earns no interest, which may dwarf what the assets do.
        invested = region.budget_low == region.budget_high == 1.0
        self._returns = instance.problem.returns if invested else instance.excess
        self._ahead = 0
        np.cumsum(self._returns, axis=0, out=self._totals[1:])
        if not invested:
            self._interest = instance.problem.period_risk_free_rate * np.arange(count + 1)

    def in_units_of(self, weights: FloatArray) -> tuple[float, Falls]:
        """The same as :meth:`at`, in units of this portfolio's drawdown, as all is from here on.

        Where that is rounding, the returns are the unit.
        """
        value, falls = self.at(weights)
        value *= self._unit
        self._unit = max(value, self._rounding)
        return value / self._unit, falls

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
        beyond = None if level is None else level * self._unit
        value, ends = self._worst(peaks - wealth, beyond)
        starts = peaks.searchsorted(peaks.take(ends))
        return value / self._unit, Falls(starts, ends, *self._parts(ends))

    @abstractmethod
    def _worst(self, falls: FloatArray, level: float | None, /) -> tuple[float, IntArray]:
        """The drawdown, and where the falls end of which cuts are made."""

    @abstractmethod
    def _parts(self, ends: IntArray, /) -> tuple[IntArray, IntArray, IntArray]:
        """Of each cut the first fall, how many there are, and the group, from where they end."""

    @abstractmethod
    def _leaning(self, falls: Falls, /) -> FloatArray:
        """How much of the level each cut takes, shape (k,)."""

    def cuts(self, falls: Falls) -> Cuts:
        """What falls say about other portfolios."""
        starts, ends, first, _, groups = falls
        fallen = self._totals.take(starts, axis=0)
        fallen -= self._totals.take(ends, axis=0)
        lost = np.add.reduceat(fallen, first, axis=0)
        scale = self.share / self._unit
        lost *= scale
        offsets = np.zeros(len(first))
        if self._interest is not None:
            earned = self._interest[ends] - self._interest[starts]
            offsets = -scale * np.add.reduceat(earned, first)
        return Cuts(lost, offsets, self._leaning(falls), groups)

    def weigh(self, falls: Falls, multipliers: FloatArray) -> FloatArray:
        """How much each period counts, from the multipliers of cuts, shape (T,)."""
        weights = multipliers.repeat(falls.counts) * self.share
        fallen, reached = (
            np.bincount(places, weights, self.periods + 1)[1:].astype(np.float64)
            for places in (falls.ends, falls.starts)
        )
        return drawdown_weights(fallen, reached, self.tail)

    def recall(self, known: HoldingFalls) -> Falls | None:
        """What held an optimum of this window, or of the one a period before, if anything is left.

        Of any other window, too, they are falls, and bound the drawdowns; but not closely.
        """
        if known.periods != self.periods:
            return None
        if not np.array_equal(known.second, self._returns[0]):
            self._begin_ahead(known.ahead)
            return known.falls
        falls = known.falls.from_next()
        ended = self._begin_ahead(known.ahead + 1)
        return falls._replace(groups=falls.groups - ended) if len(falls.first) else None

    def hold(self, falls: Falls) -> HoldingFalls:
        """Falls of this window to be recalled in the next."""
        return HoldingFalls(falls, self.periods, self._ahead, self._returns[1].copy())

    def _begin_ahead(self, periods: int, /) -> int:
        """Let the first stretch begin before the window: how many stretches that leaves out."""
        self._ahead = periods
        return 0


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

    def _parts(self, ends: IntArray, /) -> tuple[IntArray, IntArray, IntArray]:
        return np.arange(len(ends)), np.ones_like(ends), np.zeros_like(ends)

    def _leaning(self, falls: Falls, /) -> FloatArray:
        return np.zeros(len(falls.first))


class TailDrawdown(Drawdowns):
    """The mean of the worst falls, added up beyond a level in stretches of periods."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, instance.tail)
        self._stretch = -(-self.periods // STRETCHES)
        self._begin_ahead(0)

    def _begin_ahead(self, periods: int, /) -> int:
        self._ahead, ended = periods % self._stretch, periods // self._stretch
        begins = np.arange(1 - self._ahead, self.periods + self._stretch + 1, self._stretch)
        self._begins = np.maximum(begins, 1)
        return int(ended)

    def _worst(self, falls: FloatArray, level: float | None, /) -> tuple[float, IntArray]:
        whole = min(whole_periods(self.beyond), self.periods - 1)
        # The start of all is no period, and no fall ends there.
        place = self.periods - whole - 1
        order = falls[1:].argpartition(place)[place:] + 1
        ends = order[1:]
        ends.sort()
        last = float(falls[order[0]])
        value = last + (float(falls.take(ends).sum()) - whole * last) / self.beyond
        return value, ends if level is None else np.flatnonzero(falls[1:] > level) + 1

    def _parts(self, ends: IntArray, /) -> tuple[IntArray, IntArray, IntArray]:
        first = ends.searchsorted(self._begins)
        counts = first[1:] - first[:-1]
        (groups,) = counts.nonzero()
        return first.take(groups), counts.take(groups), groups

    def _leaning(self, falls: Falls, /) -> FloatArray:
        return np.asarray(self.share * falls.counts)


def drawdowns_of(instance: Instance) -> Drawdowns:
    """Those that the problem's objective minimises."""
    if instance.objective == Objective.MINIMIZE_CDAR:
        return TailDrawdown(instance)
    return LargestDrawdown(instance)

"""Why no portfolio satisfies a request, and the smallest change that would let one.

A linear programme finds the portfolio that misses the rows least within its bounds; its multipliers
name limits that conflict. For each of them it is worked out by how much it alone would have to
give, and a deletion filter leaves out those that the conflict of the others does not need.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from optimization.engine.convex.deviation import OutOfReachError
from optimization.engine.convex.deviation_conflict import deviation_error
from optimization.engine.convex.highs import LinearProgramme, Rows, run_highs
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.lifting import Lifting
from optimization.engine.convex.limits import MOST, Limit, error_of, limits_of
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.region import Region, region_of
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import FloatArray

Mask = npt.NDArray[np.bool_]

GIVES = 1e-7
"""A miss that is more than rounding, and a multiplier that is."""

MET = 1e-9
"""A row that is missed by less is met."""

STEPS = 100


def conflict_error(instance: Instance, error: InfeasibleProblemError) -> InfeasibleProblemError:
    """The error that explains why an instance has no portfolio, from the one that said so."""
    if isinstance(error, OutOfReachError) and error.mixtures.match(instance):
        return deviation_error(instance, error.mixtures)
    # Without the rows that a deviation of nothing is written as: it is no limit of its own there.
    region = region_of(instance.problem, instance.mean)
    if instance.deviations and _has_portfolios(region):
        return deviation_error(instance)
    conflicting = _Elastic(region, limits_of(instance.problem, region)).smallest_conflict()
    if not conflicting:
        return deviation_error(instance)
    mends = [limit.mend(slack * (1 + 1e-9)) for limit, slack in conflicting if slack is not None]
    return error_of([limit.field for limit, _ in conflicting], mends)


def _has_portfolios(region: Region) -> bool:
    try:
        minimise_linear(np.zeros(region.n_assets), region)
    except InfeasibleProblemError:
        return False
    return True


@dataclass(frozen=True)
class _Miss:
    """The portfolio within some bounds that misses the rows least.

    Attributes:
        slacks: By how much, first below each of the m rows, then above, shape (2m,).
        needed: Which of them an easier row would spare, shape (2m,).
        falling: What a smaller smallest weight would spare per unit, shape (n,).
        rising: What a larger largest weight would spare per unit, shape (n,).
    """

    slacks: FloatArray
    needed: Mask
    falling: FloatArray
    rising: FloatArray

    def spared(self, limit: Limit) -> float:
        """What is spared per unit by which all the bounds of one limit give."""
        gains = self.falling if limit.is_low else self.rising
        return float(np.maximum(gains[limit.columns], 0.0).sum())


class _Elastic:
    """A region with a slack for each side of each of its m rows, scaled to a largest entry of 1."""

    def __init__(self, region: Region, limits: Sequence[Limit]) -> None:
        self.region = region
        self.limits = list(limits)
        self.lifting = Lifting(region)
        self.first = self.lifting.columns
        bare = self.lifting.rows()
        self.scales = bare.scales
        m = len(self.scales)
        rows = Rows(self.first + 2 * m)
        for number, (index, value, low, high) in enumerate(bare.entries()):
            slacks = [self.first + number, self.first + m + number]
            rows.add(np.append(index, slacks), np.append(value, [1.0, -1.0]), low, high)
        self.columns = np.arange(rows.columns, dtype=np.int32)
        self.limited = np.isfinite(np.concatenate(rows.limits))
        columns = self._columns(region.lower, region.upper, self.limited)
        cost = np.concatenate([np.zeros(self.first), np.ones(2 * m)])
        self.highs = run_highs(LinearProgramme(cost, *columns, *rows.limits, rows.matrix()))

    def smallest_conflict(self) -> list[tuple[Limit, float | None]]:
        """Limits that cannot hold together although any fewer of them could.

        Each comes with what it alone has to give, or None if that is not enough or they are many.
        """
        miss = self._read(self.region.lower, self.region.upper)
        if miss is None or float(miss.slacks.sum()) <= GIVES:
            return []
        # A limit without a multiplier has no part in the proof that the others conflict.
        kept = [p for p, limit in enumerate(self.limits) if self._holds(limit, miss)]
        alone = {p: self._slack_alone(self.limits[p], miss) for p in kept[:MOST]}
        # Where one limit's giving is enough, all the others can hold: it is part of any conflict.
        doubtful = [position for position in kept if alone.get(position) is None]
        for position in doubtful if len(kept) <= MOST else ():
            fewer = [other for other in kept if other != position]
            if self._conflict([self.limits[other] for other in fewer]):
                kept = fewer
        return [(self.limits[position], alone.get(position)) for position in kept]

    def _holds(self, limit: Limit, miss: _Miss) -> bool:
        """Whether a limit has a multiplier."""
        if limit.row is not None:
            return bool(miss.needed[self._slack_of(limit.row, is_low=limit.is_low)])
        return miss.spared(limit) > GIVES

    def _slack_alone(self, limit: Limit, miss: _Miss) -> float | None:
        """By how much one limit alone has to give, or None if that is not enough."""
        if limit.row is None:
            return self._moved_alone(limit, miss)
        alone = np.zeros(len(self.limited), dtype=np.bool_)
        alone[self._slack_of(limit.row, is_low=limit.is_low)] = True
        found = self._least(self.region.lower, self.region.upper, alone)
        return None if found is None else float(found.slacks.sum() * self.scales[limit.row])

    def _moved_alone(self, limit: Limit, miss: _Miss) -> float | None:
        """The same of bounds, by Newton's method on what is missed: convex, and of few pieces."""
        moved, found = 0.0, miss
        for _ in range(STEPS):
            spared = found.spared(limit)
            if spared <= MET:
                return None
            moved += float(found.slacks.sum()) / spared
            lower, upper = self.region.lower.copy(), self.region.upper.copy()
            if limit.is_low:
                lower[limit.columns] -= moved
            else:
                upper[limit.columns] += moved
            left = self._least(lower, upper, self.limited)
            if left is None:
                return None
            if float(left.slacks.sum()) <= MET:
                return moved
            found = left
        return None

    def _conflict(self, kept: Sequence[Limit]) -> bool:
        """Whether no portfolio of at most the whole capital satisfies these limits."""
        n = self.region.n_assets
        lower, upper, free = np.full(n, -np.inf), np.full(n, np.inf), self.limited.copy()
        free[len(self.scales)] = False  # nobody may hold more than the capital
        for limit in kept:
            if limit.row is not None:
                free[self._slack_of(limit.row, is_low=limit.is_low)] = False
            elif limit.is_low:
                lower[limit.columns] = self.region.lower[limit.columns]
            else:
                upper[limit.columns] = self.region.upper[limit.columns]
        found = self._least(lower, upper, self.limited, free)
        return found is not None and float(found.slacks[~free].sum()) > GIVES

    def _slack_of(self, row: int, *, is_low: bool) -> int:
        return row if is_low else len(self.scales) + row

    def _columns(
        self, lower: FloatArray, upper: FloatArray, giving: Mask
    ) -> tuple[FloatArray, FloatArray]:
        """Bounds on every column."""
        low, high = self.lifting.bounds(lower, upper)
        return (
            np.concatenate([low, np.zeros(len(giving))]),
            np.concatenate([high, np.where(giving, np.inf, 0.0)]),
        )

    def _least(
        self, lower: FloatArray, upper: FloatArray, giving: Mask, free: Mask | None = None
    ) -> _Miss | None:
        """The least miss within bounds, or None if the slacks that give are not enough.

        Args:
            lower: Smallest weights, shape (n,).
            upper: Largest weights, shape (n,).
            giving: Which slacks may be more than nothing, shape (2m,).
            free: Which of them do not count, shape (2m,), or None if all do.
        """
        cost = np.ones(len(giving)) if free is None else np.where(free, 0.0, 1.0)
        self.highs.changeColsBounds(
            len(self.columns), self.columns, *self._columns(lower, upper, giving)
        )
        self.highs.changeColsCost(len(cost), self.columns[self.first :], cost)
        self.highs.run()
        return self._read(lower, upper)

    def _read(self, lower: FloatArray, upper: FloatArray) -> _Miss | None:
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution, first = self.highs.getSolution(), self.first
        duals = np.array(solution.col_dual)
        falling, rising = self.lifting.reduced(duals[:first], lower, upper)
        slacks = np.array(solution.col_value)[first:]
        return _Miss(slacks, duals[first:] < 1.0 - GIVES, falling, -rising)

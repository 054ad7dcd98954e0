"""A piecewise linear convex cost that is known by its cuts, minimised over a region.

Each cut is a linear function of the weights that the cost of its group can not fall below, and
every solution starts from the last. With few assets DAQP solves the linear programme, in a
microsecond or two an iteration; with many HiGHS does.
"""

from dataclasses import dataclass
from typing import Any

import daqp
import highspy
import numpy as np

from optimization.engine.convex.highs import (
    LinearProgramme,
    SparseMatrix,
    check_optimal,
    new_highs,
)
from optimization.engine.convex.quadratic import (
    ENDLESS,
    EQUALITY,
    OPTIMAL,
    PRIMAL_TOLERANCE,
    WHOLE,
    IntArray,
)
from optimization.engine.convex.region import Region
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

PROXIMAL = 1e-2
"""Weight of the square that DAQP adds to a linear cost and moves along until it counts nothing."""

STILL = 1e-10
"""How far DAQP may still move when it stops: its multipliers are wrong by as much."""

FIRST_CUTS = 128
"""Cuts that there is room for at first."""

MOST_ITERATIONS = 50_000
"""Of HiGHS, which may turn in circles; from the last basis it takes tens, seldom hundreds."""

RESTING = -1e-3
"""What tells DAQP that a new variable rests at its lower bound: the sign of a multiplier."""


@dataclass(frozen=True)
class Cuts:
    """group cost + counts·level ≥ slopes·w + offsets.

    Attributes:
        slopes: Shape (k, n).
        offsets: Shape (k,).
        counts: Shape (k,).
        groups: Shape (k,).
    """

    slopes: FloatArray
    offsets: FloatArray
    counts: FloatArray
    groups: IntArray

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True)
class CutOptimum:
    """The least that the cuts allow.

    Attributes:
        weights: Where, shape (n,).
        level: The level there.
        bound: level + Σ group costs there: no portfolio costs less.
        multipliers: Of every cut so far, shape (k,).
    """

    weights: FloatArray
    level: float
    bound: float
    multipliers: FloatArray


class CutModel:
    """Minimises level + Σ group costs over the region and the cuts so far.

    Args:
        region: Linear in the weights.
        groups: How many there are.
    """

    def __init__(self, region: Region, groups: int) -> None:
        self._region, self._groups = region, groups
        self._known: list[Cuts] = []
        few = region.n_assets <= WHOLE
        self._inner = _Daqp(region, groups) if few else _Highs(region, groups)

    @property
    def solver(self) -> str:
        """What solves it."""
        return self._inner.name

    def add(self, cuts: Cuts) -> None:
        """Take more cuts in."""
        self._known.append(cuts)
        self._inner.add(cuts)

    def solve(self) -> CutOptimum:
        """The least that the cuts so far allow.

        Raises:
            SolverFailureError: The linear solvers stopped without an answer.
        """
        try:
            return self._inner.solve()
        except SolverFailureError:
            if isinstance(self._inner, _Highs):
                raise
        self._inner = _Highs(self._region, self._groups)
        for cuts in self._known:
            self._inner.add(cuts)
        return self._inner.solve()


class _Daqp:
    """In DAQP: dense, and from the active set of the last solution."""

    name = "daqp"

    def __init__(self, region: Region, groups: int) -> None:
        limits, n = region.limits, region.n_assets
        self._n, self._n_rows = n, len(limits.low)
        self._lower, self._upper = region.lower, region.upper
        self._low = np.maximum(limits.low, -ENDLESS)
        self._high = np.minimum(limits.high, ENDLESS)
        self._sense = np.where(limits.low == limits.high, EQUALITY, 0)
        # Weights, the level, and the groups in the order in which they are met.
        self._matrix = np.zeros((self._n_rows + FIRST_CUTS, n + 1 + groups))
        self._matrix[: self._n_rows, :n] = limits.matrix
        self._offsets = np.zeros(0)
        self._column: dict[int, int] = {}
        self._x, self._duals = np.zeros(n + 1), np.zeros(0)

    def add(self, cuts: Cuts) -> None:
        """Take more cuts in."""
        n, columns = self._n, len(self._x)
        first = self._n_rows + len(self._offsets)
        last = first + len(cuts)
        if last > len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
        self._matrix[first:last, :n] = -cuts.slopes
        self._matrix[first:last, n] = cuts.counts
        for row, group in enumerate(cuts.groups.tolist(), start=first):
            column = self._column.setdefault(group, n + 1 + len(self._column))
            self._matrix[row, column] = 1.0
        fresh = n + 1 + len(self._column) - columns
        self._offsets = np.concatenate([self._offsets, cuts.offsets])
        self._x = np.concatenate([self._x, np.zeros(fresh)])
        if len(self._duals):
            duals, resting = self._duals, np.full(fresh, RESTING)
            nothing = np.zeros(len(cuts))
            self._duals = np.concatenate([duals[:columns], resting, duals[columns:], nothing])

    def solve(self) -> CutOptimum:
        """The least that the cuts so far allow.

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        n, rows, d = self._n, self._n_rows, len(self._x)
        matrix = np.ascontiguousarray(self._matrix[: rows + len(self._offsets), :d])
        low = np.concatenate([self._lower, np.zeros(d - n), self._low, self._offsets])
        high = np.full(len(low), ENDLESS)
        high[:n], high[d : d + rows] = self._upper, self._high
        sense = np.zeros(len(low), dtype=np.int32)
        sense[d : d + rows] = self._sense
        cost = np.zeros(d)
        cost[n:] = 1.0
        warm = {"primal_start": self._x, "dual_start": self._duals}
        for start in (warm, {}) if len(self._duals) else ({},):
            x, _, flag, info = daqp.solve(
                np.zeros((d, d)),
                cost,
                matrix,
                high,
                low,
                sense,
                eps_prox=PROXIMAL,
                eta_prox=STILL,
                primal_tol=PRIMAL_TOLERANCE,
                **start,
            )
            if flag == OPTIMAL:
                break
        else:
            raise SolverFailureError(f"the linear solver stopped with flag {flag}")
        self._x, self._duals = np.asarray(x), np.asarray(info["lam"])
        multipliers = np.maximum(-self._duals[d + rows :], 0.0)
        return CutOptimum(self._x[:n], float(self._x[n]), float(self._x[n:].sum()), multipliers)


class _Highs:
    """In HiGHS: sparse, and from the last basis."""

    name = "highs"

    def __init__(self, region: Region, groups: int) -> None:
        n, limits = region.n_assets, region.limits
        self._n, self._rows = n, len(limits.low)
        self._highs: Any = new_highs()
        self._highs.setOptionValue("simplex_iteration_limit", MOST_ITERATIONS)
        rows = SparseMatrix(
            highspy.MatrixFormat.kRowwise,
            np.arange(0, limits.matrix.size + 1, n, dtype=np.int32),
            np.tile(np.arange(n, dtype=np.int32), self._rows),
            limits.matrix.ravel(),
        )
        extra = 1 + groups
        LinearProgramme(
            cost=np.concatenate([np.zeros(n), np.ones(extra)]),
            lower=np.concatenate([region.lower, np.zeros(extra)]),
            upper=np.concatenate([region.upper, np.full(extra, np.inf)]),
            low=limits.low,
            high=limits.high,
            matrix=rows,
        ).pass_to(self._highs)

    def add(self, cuts: Cuts) -> None:
        """Take more cuts in."""
        k, width = len(cuts), self._n + 2
        index = np.empty((k, width), dtype=np.int32)
        index[:, : self._n + 1] = np.arange(self._n + 1)
        index[:, -1] = self._n + 1 + cuts.groups
        value = np.hstack([-cuts.slopes, cuts.counts[:, np.newaxis], np.ones((k, 1))])
        starts = np.arange(0, value.size, width, dtype=np.int32)
        free = np.full(k, np.inf)
        rows = (value.size, starts, index.ravel(), value.ravel())
        if self._highs.addRows(k, cuts.offsets, free, *rows) == highspy.HighsStatus.kError:
            raise SolverFailureError("the linear solver takes no such numbers")

    def solve(self) -> CutOptimum:
        """The least that the cuts so far allow.

        Raises:
            SolverFailureError: HiGHS stopped without an answer.
        """
        self._highs.run()
        check_optimal(self._highs)
        solution = self._highs.getSolution()
        x, n = np.array(solution.col_value), self._n
        multipliers = np.maximum(np.array(solution.row_dual)[self._rows :], 0.0)
        return CutOptimum(x[:n], float(x[n]), float(x[n:].sum()), multipliers)

"""Solvers of the linear programme that cuts are: DAQP for few assets, HiGHS for many.

Both take cuts as they come and start every solution from the last. An iteration of DAQP takes a
microsecond or two; a run of HiGHS takes longer to begin.
"""

from typing import Any, NamedTuple

import daqp
import highspy
import numpy as np

from optimization.engine.convex.cuts import CutOptimum, Cuts
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


class Columns(NamedTuple):
    """What a region is for some of its assets, while the others rest at their smallest weights.

    Attributes:
        assets: Which, by index, shape (k,), or all of them.
        rest: What the others weigh, shape (n,).
        lower: Shape (k,).
        upper: Shape (k,).
        low: Smallest values of the rows, shape (r,).
        high: Largest values of the rows, shape (r,).
        matrix: The rows, shape (r, k).
    """

    assets: IntArray | slice
    rest: FloatArray
    lower: FloatArray
    upper: FloatArray
    low: FloatArray
    high: FloatArray
    matrix: FloatArray

    @classmethod
    def of(cls, region: Region, assets: IntArray) -> "Columns":
        """Those of some assets."""
        limits, rest = region.limits, region.lower.copy()
        rest[assets] = 0.0
        some = slice(None) if len(assets) == region.n_assets else assets
        low, high, matrix = limits.low, limits.high, limits.matrix
        if rest.any():
            resting = matrix @ rest
            low, high = low - resting, high - resting
        lower, upper = region.lower[some], region.upper[some]
        return cls(some, rest, lower, upper, low, high, matrix[:, some])

    def places(self, fewer: "Columns") -> IntArray:
        """Where the assets of others are among these."""
        every = np.arange(len(self.rest))
        return np.searchsorted(every[self.assets], every[fewer.assets])

    def whole(self, weights: FloatArray) -> FloatArray:
        """Weights of all assets, shape (n,)."""
        if isinstance(self.assets, slice):
            return weights
        every = self.rest.copy()
        every[self.assets] = weights
        return every

    def offsets(self, cuts: Cuts) -> FloatArray:
        """Those of cuts, with what the assets add that rest."""
        return cuts.offsets + cuts.slopes @ self.rest if self.rest.any() else cuts.offsets


class DaqpCuts:
    """In DAQP: dense, and from the active set of the last solution.

    The variables are the groups, the level, and the weights. A group's place is filled when the
    group is met, the last one first, so that those that are met stand together, before all else.
    """

    name = "daqp"

    def __init__(self, columns: Columns, groups: int) -> None:
        n, rows = len(columns.lower), len(columns.low)
        variables = groups + 1 + n
        self._columns, self._n, self._groups, self._begin = columns, n, groups, groups
        self._column: dict[int, int] = {}
        # Of the variables, of the region's rows, and room for cuts.
        self._first = variables + rows
        self._end, size = self._first, self._first + FIRST_CUTS
        self._low, self._high = np.zeros(size), np.full(size, ENDLESS)
        self._sense, self._duals = np.zeros(size, dtype=np.int32), np.zeros(size)
        low = np.concatenate((columns.lower, columns.low))
        high = np.concatenate((columns.upper, columns.high))
        self._low[groups + 1 : self._end] = np.maximum(low, -ENDLESS)
        self._high[groups + 1 : self._end] = np.minimum(high, ENDLESS)
        self._sense[variables : self._end][columns.low == columns.high] = EQUALITY
        self._duals[:groups] = RESTING
        self._matrix = np.zeros((rows + FIRST_CUTS, variables))
        self._matrix[:rows, -n:] = columns.matrix
        self._cost = np.ones(variables)
        self._cost[-n:] = 0.0
        self._x = np.zeros(variables)
        self._begun = False

    def add(self, cuts: Cuts) -> None:
        """Take more cuts in."""
        count, first = len(cuts.offsets), self._end - len(self._x)
        while first + count > len(self._matrix):
            self._make_room()
        self._low[self._end : self._end + count] = self._columns.offsets(cuts)
        self._end += count
        matrix = self._matrix[first : first + count]
        np.negative(cuts.slopes[:, self._columns.assets], out=matrix[:, -self._n :])
        matrix[:, self._groups] = cuts.leaning
        for row, group in zip(matrix, cuts.groups.tolist(), strict=True):
            if group not in self._column:
                self._begin -= 1
                self._column[group] = self._begin
            row[self._column[group]] = 1.0

    def _make_room(self) -> None:
        """For twice as many rows."""
        count = len(self._matrix)
        self._low = np.concatenate((self._low, np.zeros(count)))
        self._high = np.concatenate((self._high, np.full(count, ENDLESS)))
        self._sense = np.concatenate((self._sense, np.zeros(count, dtype=np.int32)))
        self._duals = np.concatenate((self._duals, np.zeros(count)))
        self._matrix = np.concatenate((self._matrix, np.zeros_like(self._matrix)))

    def solve(self) -> CutOptimum:
        """The least that the cuts so far allow.

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        begin, end = self._begin, self._end
        rows = end - len(self._x)
        warm = {"primal_start": self._x[begin:], "dual_start": self._duals[begin:end]}
        for start in (warm, {}) if self._begun else ({},):
            x, _, flag, info = daqp.solve(
                np.zeros((len(self._x) - begin,) * 2),
                self._cost[begin:],
                np.ascontiguousarray(self._matrix[:rows, begin:]),
                self._high[begin:end],
                self._low[begin:end],
                self._sense[begin:end],
                eps_prox=PROXIMAL,
                eta_prox=STILL,
                primal_tol=PRIMAL_TOLERANCE,
                **start,
            )
            if flag == OPTIMAL:
                break
        else:
            raise SolverFailureError(f"the linear solver stopped with flag {flag}")
        self._x[begin:], self._duals[begin:end], self._begun = x, info["lam"], True
        level = self._groups - begin
        weights = self._columns.whole(x[level + 1 :])
        return CutOptimum(weights, float(x[level]), float(x[: level + 1].sum()))

    def begin_at(self, weights: FloatArray) -> None:
        """Begin where all cuts so far hold weights of all assets, shape (n,)."""
        columns, first = self._columns, self._groups + 1
        x = weights[columns.assets]
        self._x[first:] = x
        held = np.where(x <= columns.lower, RESTING, np.where(x >= columns.upper, -RESTING, 0.0))
        self._duals[self._begin : first] = 0.0
        self._duals[first : len(self._x)] = held
        self._duals[self._first : self._end] = RESTING
        self._begun = True

    def go_on_from(self, other: "DaqpCuts") -> None:
        """Begin where another ended that knows the same cuts, and some of the assets."""
        first, places = self._groups + 1, self._columns.places(other._columns)
        self._x[:first], self._x[first:] = other._x[:first], self._columns.lower
        self._duals[:first], self._duals[first : len(self._x)] = other._duals[:first], RESTING
        self._x[first + places] = other._x[first:]
        self._duals[first + places] = other._duals[first : len(other._x)]
        self._duals[len(self._x) : self._end] = other._duals[len(other._x) : other._end]
        self._begun = True

    @property
    def multipliers(self) -> FloatArray:
        """Of every cut, in their order, at the last solution."""
        return np.asarray(np.maximum(-self._duals[self._first : self._end], 0.0))

    @property
    def prices(self) -> FloatArray:
        """Of every row of the region, at the last solution."""
        return np.asarray(-self._duals[len(self._x) : self._first])


class HighsCuts:
    """In HiGHS: sparse, and from the last basis."""

    name = "highs"

    def __init__(self, columns: Columns, groups: int) -> None:
        n = len(columns.lower)
        self._columns, self._n, self._rows = columns, n, len(columns.low)
        self._highs: Any = new_highs()
        self._highs.setOptionValue("simplex_iteration_limit", MOST_ITERATIONS)
        self._highs.setOptionValue("simplex_scale_strategy", 0)  # units are of a size already
        rows = SparseMatrix(
            highspy.MatrixFormat.kRowwise,
            np.arange(0, columns.matrix.size + 1, n, dtype=np.int32),
            np.tile(np.arange(n, dtype=np.int32), self._rows),
            columns.matrix.ravel(),
        )
        extra = 1 + groups
        LinearProgramme(
            cost=np.concatenate([np.zeros(n), np.ones(extra)]),
            lower=np.concatenate([columns.lower, np.zeros(extra)]),
            upper=np.concatenate([columns.upper, np.full(extra, np.inf)]),
            low=columns.low,
            high=columns.high,
            matrix=rows,
        ).pass_to(self._highs)

    def add(self, cuts: Cuts) -> None:
        """Take more cuts in."""
        k, width = len(cuts.offsets), self._n + 2
        index = np.empty((k, width), dtype=np.int32)
        index[:, : self._n + 1] = np.arange(self._n + 1)
        index[:, -1] = self._n + 1 + cuts.groups
        slopes = cuts.slopes[:, self._columns.assets]
        value = np.hstack([-slopes, cuts.leaning[:, np.newaxis], np.ones((k, 1))])
        starts = np.arange(0, value.size, width, dtype=np.int32)
        free = np.full(k, np.inf)
        rows = (value.size, starts, index.ravel(), value.ravel())
        offsets = self._columns.offsets(cuts)
        if self._highs.addRows(k, offsets, free, *rows) == highspy.HighsStatus.kError:
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
        return CutOptimum(self._columns.whole(x[:n]), float(x[n]), float(x[n:].sum()))

    @property
    def multipliers(self) -> FloatArray:
        """Of every cut, in their order, at the last solution."""
        duals = np.array(self._highs.getSolution().row_dual)
        return np.asarray(np.maximum(duals[self._rows :], 0.0))

    @property
    def prices(self) -> FloatArray:
        """Of every row of the region, at the last solution."""
        return np.array(self._highs.getSolution().row_dual)[: self._rows]

"""Portfolio problems that are solved again and again as returns come in."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from optimization.engine.covariance import SAMPLE
from optimization.engine.errors import InvalidProblemError
from optimization.engine.feasible import check_bounds
from optimization.engine.moments import Estimate
from optimization.engine.objectives import BY_COVARIANCE
from optimization.engine.problem import FloatArray, Method, Problem, Solution
from optimization.engine.rolling import RollingMoments, RollingSums
from optimization.engine.support import check_supported

REFRESH = 512
"""Rows after which the moments are computed afresh, so that rounding cannot add up."""

DENSE = 1000
"""Up to this many assets Σ itself is updated; beyond, its factor costs less."""


class Session:
    """Solves one problem over a window that moves one row at a time.

    The mean and the covariance are updated by the row that comes and the row that goes, and every
    solution starts from what held the last one: its assets, its periods, its tilt. The answers
    carry the same certificates as those of :func:`optimization.engine.solve`.

    Args:
        problem: The problem over the first window; method mean_variance.
        parameters: As for :func:`optimization.engine.solve`: ``covariance``.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """

    def __init__(self, problem: Problem, parameters: Mapping[str, Any] | None = None) -> None:
        check_bounds(problem)
        # DAQP and HiGHS come with the first session, not with the engine.
        self._solver = import_module("optimization.engine.convex.solver")
        self._instances = import_module("optimization.engine.convex.instance")
        self._covariance = (parameters or {}).get("covariance")
        self._length = problem.n_observations
        self._buffer = np.empty((2 * self._length, problem.n_assets))
        self._buffer[: self._length] = problem.returns
        self._first = 0
        self._problem = replace(problem, returns=self._window())
        self._sums = self._sums_of_window()
        self._rows_since_refresh = 0
        self._warm = self._solver.COLD

    @property
    def problem(self) -> Problem:
        """The problem over the current window."""
        return self._problem

    def append(self, row: FloatArray) -> None:
        """Move the window by one row: the newest returns come in, the oldest go.

        Args:
            row: Simple returns of one period, shape (n,).

        Raises:
            InvalidProblemError: The row has the wrong shape or holds a missing value.
        """
        row = np.asarray(row, dtype=np.float64)
        if row.shape != (self._problem.n_assets,) or not np.isfinite(row).all():
            raise InvalidProblemError(
                f"a new row of returns needs {self._problem.n_assets} finite numbers", ["returns"]
            )
        if self._first == self._length:
            # A new buffer: solutions that are not described yet still read the old one.
            moved = np.empty_like(self._buffer)
            moved[: self._length] = self._buffer[self._length :]
            self._buffer, self._first = moved, 0
        gone = self._buffer[self._first].copy()
        self._buffer[self._first + self._length] = row
        self._first += 1
        self._rows_since_refresh += 1
        self._sums.replace_row(gone, row)
        if self._sums.is_worn or self._rows_since_refresh >= REFRESH:
            self._sums, self._rows_since_refresh = self._sums_of_window(), 0
        self._problem = self._problem.over(self._window(), self._sums.mean, self._sums.square_sum)

    def solve(self) -> Solution:
        """Solve over the current window.

        Raises:
            EngineError: See ``optimization.engine.errors``.
        """
        instance = self._instance()
        solution: Solution
        solution, self._warm = self._solver.solve_and_report(instance, self._warm)
        return solution

    def update(self, row: FloatArray) -> Solution:
        """Append a row and solve.

        Raises:
            EngineError: See ``optimization.engine.errors``.
        """
        self.append(row)
        return self.solve()

    def _window(self) -> FloatArray:
        return self._buffer[self._first : self._first + self._length]

    def _sums_of_window(self) -> RollingSums:
        """Of Σ too where it decides the answer and may be updated row by row."""
        problem, n = self._problem, self._problem.n_assets
        constraints = problem.constraints
        decides = problem.objective in BY_COVARIANCE or constraints.limits_deviation
        rolls = self._covariance in (None, SAMPLE) and 2 * n <= self._length and n <= DENSE
        return (RollingMoments if decides and rolls else RollingSums)(self._window())

    def _instance(self) -> Any:
        problem, sums = self._problem, self._sums
        if not isinstance(sums, RollingMoments):
            return self._instances.instance_of(problem, self._covariance)
        # Taken now: by the time someone asks, the window may have moved on.
        estimate = Estimate.of(sums.covariance())
        return self._instances.instance_with(problem, estimate, sums.mean)


class WarmStarts:
    """What the last solution of each of many problems left behind, for the next of the same.

    Unlike a session it keeps no window: whoever asks brings the whole problem each time, and the
    answer starts from the assets, periods and tilt that held the last one.

    Args:
        most: Problems to remember; the one that was not asked for longest is forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        """Problems remembered."""
        return len(self._left)

    def solve(
        self, key: Hashable, problem: Problem, parameters: Mapping[str, Any] | None = None
    ) -> Solution:
        """Solve a problem exactly, from where the last of this key ended.

        Args:
            key: Whatever tells problems apart that differ in more than their returns.
            problem: What to solve; method mean_variance.
            parameters: As for :func:`optimization.engine.solve`: ``covariance``.

        Returns:
            The solution; ``warm_start`` of its diagnostics says whether a last one was begun from.

        Raises:
            EngineError: See ``optimization.engine.errors``.
        """
        check_supported(Method.MEAN_VARIANCE, problem)
        check_bounds(problem)
        solver = import_module("optimization.engine.convex.solver")
        instances = import_module("optimization.engine.convex.instance")
        instance = instances.instance_of(problem, (parameters or {}).get("covariance"))
        warm = self._left.pop(key, solver.COLD)
        if not warm.fits(instance):
            warm = solver.COLD
        solution: Solution
        solution, self._left[key] = solver.solve_and_report(instance, warm)
        while len(self._left) > self._most:
            self._left.popitem(last=False)
        facts = {**solution.diagnostics, "warm_start": warm is not solver.COLD}
        return replace(solution, diagnostics=facts)

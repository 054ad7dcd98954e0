"""Why no portfolio satisfies a request, and the smallest change that would let one.

Every request field that limits the portfolio gets a slack variable. A linear programme over the
slacks finds the fields that conflict, a deletion filter keeps a smallest set of them, and one
programme for each says by how much it alone would have to give.
"""

from collections.abc import Sequence
from typing import Any

import highspy
import numpy as np

from optimization.engine.convex.deviation_conflict import deviation_error
from optimization.engine.convex.highs import LinearProgramme, Rows, new_highs
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.limits import MOST, Limit, error_of, limits_of
from optimization.engine.convex.linear import Layout, minimise_linear, polyhedron
from optimization.engine.convex.region import Region, region_of
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import FloatArray

GIVES = 1e-7
"""Slack that counts as more than rounding."""


def conflict_error(instance: Instance) -> InfeasibleProblemError:
    """The error that explains why an instance has no portfolio."""
    # Without the rows that a deviation of nothing is written as: it is no limit of its own there.
    region = region_of(instance.problem, instance.mean)
    if instance.deviations and _has_portfolios(region):
        return deviation_error(instance)
    programme = _Elastic(region, limits_of(instance.problem, region))
    conflicting = programme.smallest_conflict()
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


class _Elastic:
    """The constraints as rows with one slack column for each limit."""

    def __init__(self, region: Region, limits: Sequence[Limit]) -> None:
        self.limits = list(limits)
        layout = Layout.of(region)
        self.first = layout.columns
        base = polyhedron(region, layout)
        rows = Rows(layout.columns + len(self.limits))
        by_row: dict[int, list[int]] = {}
        for position, limit in enumerate(self.limits):
            if limit.row is not None:
                by_row.setdefault(limit.row, []).append(position)
        for number, (index, value, low, high) in enumerate(base.entries()):
            slacks = by_row.get(number, [])
            if not slacks:
                rows.add(index, value, low, high)
                continue
            columns = np.array([self.first + position for position in slacks], dtype=np.int_)
            signs = np.array([1.0 if self.limits[p].is_low else -1.0 for p in slacks])
            scale = base.scales[number]
            if len(slacks) == 2:  # one slack must not push against the other side of the row
                rows.add(
                    np.append(index, columns[0]), np.append(value, signs[0] / scale), low, np.inf
                )
                rows.add(
                    np.append(index, columns[1]), np.append(value, signs[1] / scale), -np.inf, high
                )
            elif low > -np.inf and high < np.inf and low == high and number == 0:
                rows.add(np.append(index, columns), np.append(value, signs / scale), low, np.inf)
                rows.add(index, value, -np.inf, high)
            else:
                rows.add(
                    np.concatenate([index, columns]),
                    np.concatenate([value, signs / scale]),
                    low,
                    high,
                )
        for position, limit in enumerate(self.limits):
            if limit.columns is None:
                continue
            slack = np.full_like(limit.columns, self.first + position)
            index, endless = np.column_stack([limit.columns, slack]), np.full(len(slack), np.inf)
            if limit.is_low:
                least = region.lower[limit.columns]
                rows.add_alike(index, np.array([1.0, 1.0]), least, endless)
            else:
                most = region.upper[limit.columns]
                rows.add_alike(index, np.array([1.0, -1.0]), -endless, most)
        self.highs = self._load(rows, region.n_assets)

    def _load(self, rows: Rows, n: int) -> Any:
        count = self.first + len(self.limits)
        lower = np.concatenate([np.full(n, -np.inf), np.zeros(count - n)])
        upper = np.full(count, np.inf)
        low, high = rows.limits
        programme = LinearProgramme(np.zeros(count), lower, upper, low, high, rows.matrix())
        highs = new_highs()
        programme.pass_to(highs)
        return highs

    def _solve(self, giving: Sequence[int]) -> tuple[FloatArray, FloatArray] | None:
        """Least total slack when some limits give, and its duals; None if that is not enough."""
        for position in range(len(self.limits)):
            gives = position in giving
            column = self.first + position
            self.highs.changeColBounds(column, 0.0, np.inf if gives else 0.0)
            self.highs.changeColCost(column, 1.0 if gives else 0.0)
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self.highs.getSolution()
        return (
            np.array(solution.col_value)[self.first :],
            np.array(solution.col_dual)[self.first :],
        )

    def smallest_conflict(self) -> list[tuple[Limit, float | None]]:
        """Limits that cannot hold together although any fewer of them could.

        Each comes with what it alone has to give, or None if that is not enough or they are many.
        """
        everyone = range(len(self.limits))
        solved = self._solve(everyone)
        if solved is None or float(solved[0].max(initial=0.0)) <= GIVES:
            return []
        # A limit without a multiplier has no part in the proof that the others conflict.
        kept = [position for position in everyone if solved[1][position] < 1.0 - GIVES]
        alone = {position: self._slack_alone(position) for position in kept[:MOST]}
        # Where one limit's giving is enough, all the others can hold: it is part of any conflict.
        doubtful = [position for position in kept if alone.get(position) is None]
        for position in doubtful if len(kept) <= MOST else ():
            fewer = [other for other in kept if other != position]
            if self._solve([other for other in everyone if other not in fewer]) is None:
                kept = fewer
        return [(self.limits[position], alone.get(position)) for position in kept]

    def _slack_alone(self, position: int) -> float | None:
        """By how much one limit alone has to give, or None if that is not enough."""
        solved = self._solve([position])
        return None if solved is None else float(solved[0][position])

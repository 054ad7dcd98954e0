"""Which limits keep every portfolio from a limit on its deviations, and how much that has to give.

The multipliers of the nearest portfolio name limits that conflict; a deletion filter, one programme
for each limit left out, keeps a smallest set of them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimization.engine.convex.deviation import (
    ALLOWED,
    Cone,
    Nearest,
    least_beside,
    nearest_within,
)
from optimization.engine.convex.explain import YEAR
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.limits import MOST, Limit, error_of, limits_of, raise_to
from optimization.engine.convex.region import Region, region_of
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

LOOSE = 1e6
SETTLED = 1e-9
"""Relative excess that makes a conflict."""


def deviation_error(instance: Instance) -> InfeasibleProblemError:
    """The error of a problem whose other limits leave portfolios, but none that deviates so little.

    The instance's region may hold a deviation of nothing as rows; here it is a limit like others.
    """
    region = region_of(instance.problem, instance.mean)
    cones, everything = instance.deviations, limits_of(instance.problem, region)
    if not cones:
        return _unproven(cones)  # out of reach by less than the elastic programme tells apart
    conflict = _Conflict(instance, region, everything)
    try:
        nearest = conflict.nearest(everything, cones)
        if not nearest.is_proof:
            return _unproven(cones)
        kept, tight = conflict.smallest(nearest, cones)
        mends = [
            raise_to(name, value)(0.0) for name, value in conflict.mends(tight, nearest.weights)
        ]
    except SolverFailureError:
        return _unproven(cones)
    return error_of([*(name for name, _, _ in tight), *(limit.field for limit in kept)], mends)


def _unproven(cones: Sequence[Cone]) -> InfeasibleProblemError:
    return error_of([name for name, _, _ in cones] or ["constraints"], [])


class _Conflict:
    """Subsets of the limits, and whether any portfolio keeps them."""

    def __init__(self, instance: Instance, region: Region, limits: Sequence[Limit]) -> None:
        self.covariance = instance.covariance
        self.region = region
        self.limits = list(limits)
        self.cones = instance.deviations

    def nearest(self, kept: Sequence[Limit], cones: Sequence[Cone]) -> Nearest:
        """The portfolio nearest to the limits on deviations within some of the other limits.

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        return nearest_within(self.covariance, _region_within(self.region, kept), cones)

    def conflicts(self, kept: Sequence[Limit], cones: Sequence[Cone]) -> bool:
        """Whether no portfolio keeps these limits."""
        try:
            return bool(cones) and self.nearest(kept, cones).excess > 1.0 + SETTLED
        except SolverFailureError:
            return False

    def smallest(
        self, nearest: Nearest, cones: Sequence[Cone]
    ) -> tuple[list[Limit], Sequence[Cone]]:
        """Limits that cannot hold together although any fewer of them could."""
        # Those without a multiplier have no part in the proof that the others conflict.
        holding = [limit for limit in self.limits if _holds(limit, nearest)]
        tight = [cone for cone, share in zip(cones, nearest.shares, strict=True) if share > 0]
        if len(holding) > MOST:
            return holding, tight
        for cone in tuple(tight) if len(tight) > 1 else ():
            fewer = [other for other in tight if other is not cone]
            if self.conflicts(holding, fewer):
                tight = fewer
        for limit in tuple(holding):
            left = [other for other in holding if other is not limit]
            if self.conflicts(left, tight):
                holding = left
        return holding, tight

    def mends(self, tight: Sequence[Cone], nearest: FloatArray) -> list[tuple[str, float]]:
        """To what each limit on a deviation alone would have to be raised, a year."""
        found = []
        for cone in tight:
            others = [other for other in self.cones if other is not cone]
            least = self._least(cone, others, nearest)
            if least is not None:
                name = cone[0].removeprefix("constraints.")
                found.append((name, least * YEAR * (1 + 10 * ALLOWED)))
        return found

    def _least(self, cone: Cone, others: Sequence[Cone], nearest: FloatArray) -> float | None:
        """The least deviation of one kind while the other is kept, or None if it cannot be."""
        name, _, origin = cone
        # Beside so large a limit no portfolio is out of reach, and none is given up before its end.
        loose = (name, LOOSE * float(np.sqrt(self.covariance.mean_variance)), origin)
        weights: FloatArray | None
        if others:
            weights = least_beside(self.covariance, self.region, loose, others[0])
        elif self.region.is_linear:
            weights = nearest  # whose sign patterns were not cut short by a proof
        else:
            weights = nearest_within(self.covariance, self.region, [loose]).weights
        if weights is None:
            return None
        return float(np.sqrt(self.covariance.variance(weights - origin)))


def _holds(limit: Limit, nearest: Nearest) -> bool:
    """Whether a limit has a multiplier in the nearest portfolio."""
    if limit.columns is not None:
        pressed = nearest.pressed[limit.columns]
        return bool((pressed < 0).any() if limit.is_low else (pressed > 0).any())
    if limit.field == "constraints.sum_to_one":
        return nearest.budget < 0
    return (limit.field, limit.is_low) in nearest.used


def _region_within(region: Region, kept: Sequence[Limit]) -> Region:
    """The region under some of its limits; no more than the whole capital is invested in any."""
    fields = {(limit.field, limit.is_low) for limit in kept}
    lower, upper = np.full(region.n_assets, -np.inf), np.full(region.n_assets, np.inf)
    for limit in kept:
        if limit.columns is not None and limit.is_low:
            lower[limit.columns] = region.lower[limit.columns]
        elif limit.columns is not None:
            upper[limit.columns] = region.upper[limit.columns]
    rows = []
    for row in region.rows:
        low = row.low if (row.field, True) in fields else -np.inf
        high = row.high if (row.field, False) in fields else np.inf
        if low > -np.inf or high < np.inf:
            rows.append(replace(row, low=low, high=high))
    turnover = ("constraints.max_turnover", False) in fields
    leverage = ("constraints.max_leverage", False) in fields
    return replace(
        region,
        lower=lower,
        upper=upper,
        budget_low=region.budget_low if ("constraints.sum_to_one", True) in fields else -np.inf,
        rows=tuple(rows),
        turnover=region.turnover if turnover else np.inf,
        leverage=region.leverage if leverage else np.inf,
    )

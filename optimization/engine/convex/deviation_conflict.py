"""Which limits keep every portfolio from a limit on its deviations, and how much that has to give.

The multipliers of the nearest portfolio name limits that conflict; a deletion filter, one programme
for each limit left out, keeps a smallest set of them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimization.engine.convex.deviation import ALLOWED, Mixed, Mixtures
from optimization.engine.convex.explain import YEAR
from optimization.engine.convex.instance import Cone, Instance
from optimization.engine.convex.limits import MOST, Limit, error_of, limits_of, raise_to
from optimization.engine.convex.region import Region, region_of
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError

SETTLED = 1e-9
"""Relative excess that makes a conflict."""


def deviation_error(instance: Instance, mixtures: Mixtures | None = None) -> InfeasibleProblemError:
    """The error of a problem whose other limits leave portfolios, but none that deviates so little.

    Args:
        instance: Its region may hold a deviation of nothing as rows; here it is a limit too.
        mixtures: What its portfolios deviate by, if that is known already.
    """
    cones = instance.deviations
    if not cones:
        return _unproven(cones)  # out of reach by less than the elastic programme tells apart
    if mixtures is None:
        region = region_of(instance.problem, instance.mean)
        mixtures = Mixtures(instance.covariance, region, cones)
    conflict = _Conflict(mixtures, cones, limits_of(instance.problem, mixtures.region))
    try:
        nearest = mixtures.nearest()
        if not nearest.is_proof:
            return _unproven(cones)
        kept, tight = conflict.smallest(nearest.mixed)
        mends = [raise_to(name, value)(0.0) for name, value in conflict.mends(tight)]
    except SolverFailureError:
        return _unproven(cones)
    return error_of([*(cone.field for cone in tight), *(limit.field for limit in kept)], mends)


def _unproven(cones: Sequence[Cone]) -> InfeasibleProblemError:
    return error_of([cone.field for cone in cones] or ["constraints"], [])


class _Conflict:
    """Subsets of the limits, and whether any portfolio keeps them."""

    def __init__(self, mixtures: Mixtures, cones: Sequence[Cone], limits: Sequence[Limit]) -> None:
        self.mixtures = mixtures
        self.covariance = mixtures.covariance
        self.region = mixtures.region
        self.limits = list(limits)
        self.cones = cones

    def smallest(self, nearest: Mixed) -> tuple[list[Limit], Sequence[Cone]]:
        """Limits that cannot hold together although any fewer of them could."""
        # Those without a multiplier have no part in the proof that the others conflict.
        holding = [limit for limit in self.limits if _holds(limit, nearest)]
        tight = [cone for cone, share in zip(self.cones, nearest.parts, strict=True) if share > 0]
        if len(holding) > MOST:
            return holding, tight
        if len(tight) > 1:
            # A limit that some portfolio keeps beside all of the others is in no conflict alone.
            for which, cone in enumerate(self.cones):
                if not self.mixtures.allow(which) and self._conflicts(holding, [cone], None):
                    tight = [cone]
                    break
        guess = float(nearest.parts[-1])
        for limit in tuple(holding):
            left = [other for other in holding if other is not limit]
            if self._conflicts(left, tight, guess):
                holding = left
        return holding, tight

    def _conflicts(self, kept: Sequence[Limit], cones: Sequence[Cone], guess: float | None) -> bool:
        """Whether no portfolio keeps these limits, by a mixture like the one that is guessed."""
        within = _region_within(self.region, kept)
        try:
            nearest = Mixtures(self.covariance, within, cones).nearest(guess)
        except SolverFailureError:
            return False
        return nearest.excess > 1.0 + SETTLED

    def mends(self, tight: Sequence[Cone]) -> list[tuple[str, float]]:
        """To what each limit on a deviation alone would have to be raised, a year."""
        found = []
        for which, cone in enumerate(self.cones):
            weights = self.mixtures.least(which) if cone in tight else None
            if weights is not None:
                least = float(np.sqrt(self.covariance.variance(weights - cone.origin)))
                value = least * YEAR * (1 + 10 * ALLOWED)
                found.append((cone.field.removeprefix("constraints."), value))
        return found


def _holds(limit: Limit, nearest: Mixed) -> bool:
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

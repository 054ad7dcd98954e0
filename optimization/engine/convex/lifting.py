"""A region's weights as columns of a linear programme, split where traded or absolute weights bend.

|w − current| and |w| bend at the current weight and at zero. Each weight is mid + above − below,
with ``mid`` between its two bends, so that limits and costs on them are linear in these parts. They
are convex: filling an outer part before an inner one is never cheaper, and what a point of the
programme pays for is at least what its weights do. So no row is needed but the region's own.
"""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.highs import Rows
from optimization.engine.convex.region import TARGET_RETURN, Region
from optimization.engine.lazy import lazy_property
from optimization.engine.problem import FloatArray


@dataclass(frozen=True)
class Lifting:
    """The columns and rows of a region.

    Attributes:
        region: Whose weights; its bounds are not used.
    """

    region: Region

    @property
    def columns(self) -> int:
        """Number of variables: the weights, or their parts mid, above and below."""
        return self.region.n_assets * (1 if self.region.is_linear else 3)

    @property
    def turnover_row(self) -> int:
        """Row of the turnover limit, or 0 without one."""
        return 1 + len(self.region.rows) if self.region.turnover < np.inf else 0

    @property
    def leverage_row(self) -> int:
        """Row of the leverage limit, or 0 without one."""
        before = len(self.region.rows) + (self.region.turnover < np.inf)
        return 1 + before if self.region.leverage < np.inf else 0

    @lazy_property
    def bends(self) -> tuple[FloatArray, FloatArray]:
        """The lower and the upper bend of each weight, shape (n,) each."""
        region = self.region
        if not region.trades:
            return np.zeros(region.n_assets), np.zeros(region.n_assets)
        if region.leverage == np.inf:
            return region.current, region.current
        return np.minimum(region.current, 0.0), np.maximum(region.current, 0.0)

    def bounds(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bounds on the weights, shape (n,) each, as bounds on the columns."""
        if self.region.is_linear:
            return lower, upper
        left, right = self.bends
        least = (np.clip(lower, left, right), lower - right, left - upper)
        most = (np.clip(upper, left, right), upper - right, left - lower)
        n, (low, high) = len(lower), (np.concatenate(least), np.concatenate(most))
        np.maximum(low[n:], 0.0, out=low[n:])
        np.maximum(high[n:], 0.0, out=high[n:])
        return low, high

    def weights(self, x: FloatArray) -> FloatArray:
        """The weights of a point, shape (n,)."""
        if self.region.is_linear:
            return x
        mid, above, below = np.split(x, 3)
        return np.asarray(mid + above - below)

    def reduced(
        self, duals: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Reduced costs of going below the smallest and above the largest weight, shape (n,) each.

        Args:
            duals: Reduced costs of the columns.
            lower: Smallest weights, shape (n,).
            upper: Largest weights, shape (n,).
        """
        if self.region.is_linear:
            return duals, duals
        (left, right), (mid, above, below) = self.bends, np.split(duals, 3)
        falling = np.where(lower > right, above, np.where(lower > left, mid, -below))
        rising = np.where(upper < left, -below, np.where(upper < right, mid, above))
        return falling, rising

    def along(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients'w, shape (n,), as coefficients of the columns."""
        if self.region.is_linear:
            return coefficients
        return np.concatenate([coefficients, coefficients, -coefficients])

    def traded(self, costs: FloatArray) -> tuple[FloatArray, float]:
        """Costs'|w − current| as coefficients of the columns, and a constant."""
        current = self.region.current
        # Between the bends a long position is sold off on the way down, a short one on the way up.
        mid = np.where(self.bends[0] < current, -costs, costs)
        return np.concatenate([mid, costs, costs]), -float(mid @ current)

    def rows(self) -> Rows:
        """The budget and the region's rows over the columns."""
        region, index = self.region, np.arange(self.columns)
        rows, ones = Rows(self.columns), np.ones(region.n_assets)
        rows.add(index, self.along(ones), region.budget_low, region.budget_high)
        for row in region.rows:
            value, low = self.along(row.coefficients), row.low
            if row.field == TARGET_RETURN and region.has_costs:
                paid, fixed = self.traded(region.costs)
                value, low = value - paid, low + fixed
            rows.add(index, value, low, row.high)
        if region.turnover < np.inf:
            value, fixed = self.traded(ones)
            rows.add(index, value, -np.inf, region.turnover - fixed)
        if region.leverage < np.inf:
            mid = np.where(self.bends[0] < 0, -ones, ones)
            rows.add(index, np.concatenate([mid, ones, ones]), -np.inf, region.leverage)
        return rows

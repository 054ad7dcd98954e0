"""Cuts of a piecewise linear convex cost: what a linear function says that it cannot fall below."""

from typing import NamedTuple

import numpy as np

from optimization.engine.convex.quadratic import IntArray
from optimization.engine.convex.region import Region
from optimization.engine.problem import FloatArray


class Cuts(NamedTuple):
    """group cost + leaning·level ≥ slopes·w + offsets.

    Attributes:
        slopes: Shape (k, n).
        offsets: Shape (k,).
        leaning: Shape (k,).
        groups: Shape (k,).
    """

    slopes: FloatArray
    offsets: FloatArray
    leaning: FloatArray
    groups: IntArray

    def names(self) -> list[tuple[int, bytes]]:
        """What tells each of them from others: its group and its slopes."""
        slopes, width = self.slopes.tobytes(), self.slopes.strides[0]
        return [
            (group, slopes[row * width : (row + 1) * width])
            for row, group in enumerate(self.groups.tolist())
        ]

    def only(self, kept: list[bool]) -> "Cuts":
        """Those that are kept."""
        slopes, offsets, leaning, groups = self
        return Cuts(slopes[kept], offsets[kept], leaning[kept], groups[kept])


class CutOptimum(NamedTuple):
    """The least that the cuts allow.

    Attributes:
        weights: Where, shape (n,).
        level: The level there.
        bound: level + Σ group costs there: no portfolio costs less.
    """

    weights: FloatArray
    level: float
    bound: float


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

"""Cuts of a piecewise linear convex cost: what a linear function says that it cannot fall below."""

from typing import NamedTuple

from optimization.engine.convex.quadratic import IntArray
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

"""Moments of a window of returns that moves one row at a time."""

import numpy as np

from optimization.engine.covariance import Covariance, DenseCovariance
from optimization.engine.problem import FloatArray
from optimization.engine.sums import mean_and_squares

WORN = 1e-6
"""A rolling sum this small beside what it once was has lost half its digits to rounding."""


class RollingSums:
    """Mean and sum of squares of a window that moves one row at a time.

    Args:
        returns: The first window, shape (T, n).
    """

    def __init__(self, returns: FloatArray) -> None:
        self._count = len(returns)
        # Sums of what is over the first window's mean: small numbers cancel little.
        self._shift, self.square_sum = mean_and_squares(returns)
        self._total = np.zeros(returns.shape[1])
        self._largest = self.square_sum

    @property
    def mean(self) -> FloatArray:
        """Mean return, shape (n,)."""
        return np.asarray(self._shift + self._total / self._count)

    @property
    def is_worn(self) -> bool:
        """Whether rows so large have left that their rounding shows in what is left."""
        return not self.square_sum > WORN * self._largest

    def replace_row(self, gone: FloatArray, come: FloatArray) -> None:
        """Update by the row that leaves the window and the one that enters it."""
        self.square_sum += float(come @ come) - float(gone @ gone)
        self._largest = max(self._largest, self.square_sum)
        self._total += come - gone


class RollingMoments(RollingSums):
    """The same with the sample covariance.

    Args:
        returns: The first window, shape (T, n).
    """

    def __init__(self, returns: FloatArray) -> None:
        super().__init__(returns)
        shifted = returns - self._shift
        self._squares = shifted.T @ shifted

    def replace_row(self, gone: FloatArray, come: FloatArray) -> None:
        """Update by the row that leaves the window and the one that enters it."""
        super().replace_row(gone, come)
        gone, come = gone - self._shift, come - self._shift
        # cc' − gg' in one product of rank two.
        self._squares += np.column_stack([come, -gone]) @ np.vstack([come, gone])

    def covariance(self) -> Covariance:
        """Sample covariance with the divisor T − 1."""
        drift = self._total / np.sqrt(self._count)
        matrix = drift[:, np.newaxis] * drift
        np.subtract(self._squares, matrix, out=matrix)
        matrix *= 1.0 / (self._count - 1)
        return DenseCovariance(np.zeros((0, len(matrix))), matrix=matrix, proven=True)

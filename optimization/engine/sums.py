"""Sums over a window of returns, in one pass through memory."""

import numpy as np
import numpy.typing as npt

CACHED = 2**17
"""Numbers, one megabyte, that stay in a processor's cache from one product to the next."""


def mean_and_squares(rows: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Mean of the rows, shape (n,), and the sum of all their squares, which is finite if they are.

    Args:
        rows: Shape (T, n), by rows in memory.
    """
    # A product with equal shares is several times faster than a sum of columns.
    shares = np.full(len(rows), 1.0 / len(rows))
    height = max(CACHED // rows.shape[1], 1)
    mean, squares = shares[:height] @ rows[:height], 0.0
    for first in range(0, len(rows), height):
        some = rows[first : first + height]
        if first:
            mean += shares[: len(some)] @ some
        squares += float(np.vdot(some, some))
    return np.asarray(mean), squares

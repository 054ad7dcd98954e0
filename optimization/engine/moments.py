"""Means and covariances of returns, kept in factored form so that Σ need not be formed."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from optimization.engine.errors import InvalidProblemError
from optimization.engine.problem import FloatArray

SAMPLE = "sample"
LEDOIT_WOLF = "ledoit_wolf"

DENSE = 60
"""Up to this many assets Σ is formed."""


@dataclass(frozen=True)
class Covariance:
    """Σ = factor'factor + ridge·I.

    Attributes:
        factor: Shape (k, n); for a sample covariance the centred returns over √(T − 1).
        ridge: Non-negative multiple of the identity.
        kind: ``"sample"`` or ``"ledoit_wolf"``.
    """

    factor: FloatArray
    ridge: float = 0.0
    kind: str = SAMPLE

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return int(self.factor.shape[1])

    @cached_property
    def dense(self) -> FloatArray:
        """Σ, shape (n, n)."""
        matrix = self.factor.T @ self.factor
        matrix[np.diag_indices(self.n_assets)] += self.ridge
        return np.asarray(matrix)

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Σ, shape (n,)."""
        if self.is_small:
            return np.diagonal(self.dense)
        return np.asarray(np.einsum("ij,ij->j", self.factor, self.factor) + self.ridge)

    @property
    def is_small(self) -> bool:
        """Whether Σ itself is cheaper to work with than its factor."""
        return self.n_assets <= DENSE

    def times(self, weights: FloatArray) -> FloatArray:
        """Σw, shape (n,)."""
        if self.is_small:
            return np.asarray(self.dense @ weights)
        return np.asarray(self.factor.T @ (self.factor @ weights) + self.ridge * weights)

    def variance(self, weights: FloatArray) -> float:
        """w'Σw."""
        if self.is_small:
            return max(float(weights @ self.dense @ weights), 0.0)
        outcomes = self.factor @ weights
        return float(outcomes @ outcomes + self.ridge * (weights @ weights))

    def block(self, assets: npt.NDArray[np.intp]) -> FloatArray:
        """Rows and columns of Σ for some assets, given by index."""
        if self.is_small:
            return self.dense[np.ix_(assets, assets)]
        columns = np.ascontiguousarray(self.factor[:, assets])
        matrix = columns.T @ columns
        matrix[np.diag_indices(columns.shape[1])] += self.ridge
        return np.asarray(matrix)

    def root(self) -> FloatArray:
        """A matrix G of at most n rows with G'G = Σ, for conic solvers."""
        if self.ridge == 0.0 and self.factor.shape[0] <= self.n_assets:
            return self.factor
        values, vectors = np.linalg.eigh(self.dense)
        keep = values > 0
        return np.asarray((vectors[:, keep] * np.sqrt(values[keep])).T)


def sample_covariance(returns: FloatArray) -> Covariance:
    """Sample covariance with the divisor T − 1."""
    observations = returns.shape[0]
    return Covariance((returns - returns.mean(axis=0)) / np.sqrt(observations - 1))


def ledoit_wolf(returns: FloatArray) -> Covariance:
    """Covariance shrunk towards the mean variance times the identity.

    Ledoit and Wolf, *A well-conditioned estimator for large-dimensional covariance matrices*
    (2004), with the divisor T as in scikit-learn.
    """
    observations, assets = returns.shape
    centred = returns - returns.mean(axis=0)
    gram = centred @ centred.T if observations < assets else centred.T @ centred
    target = float(np.einsum("ij,ij->", centred, centred)) / (observations * assets)
    squared_norm = float(np.einsum("ij,ij->", gram, gram)) / observations**2
    fourth = float((np.einsum("ij,ij->i", centred, centred) ** 2).sum())
    noise = (fourth / observations - squared_norm) / (assets * observations)
    distance = squared_norm / assets - target**2
    shrinkage = min(max(noise, 0.0), distance) / distance if distance > 0 else 0.0
    return Covariance(
        centred * np.sqrt((1.0 - shrinkage) / observations), shrinkage * target, LEDOIT_WOLF
    )


def estimate_covariance(returns: FloatArray, requested: object = None) -> Covariance:
    """The covariance asked for; left open, the sample's, or Ledoit–Wolf's when T < 2n.

    Raises:
        InvalidProblemError: ``requested`` is no known estimator.
    """
    if requested not in (None, SAMPLE, LEDOIT_WOLF):
        raise InvalidProblemError(
            f"covariance is {requested!r}; it is one of: {SAMPLE}, {LEDOIT_WOLF}",
            ["parameters.covariance"],
        )
    observations, assets = returns.shape
    if requested == LEDOIT_WOLF or observations < 2 * assets:
        return ledoit_wolf(returns)
    return sample_covariance(returns)


@dataclass(frozen=True)
class DenseCovariance(Covariance):
    """A covariance that is held as the matrix itself.

    Attributes:
        matrix: Σ, shape (n, n).
    """

    matrix: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return len(self.matrix)

    @cached_property
    def dense(self) -> FloatArray:
        """Σ, shape (n, n)."""
        return self.matrix

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Σ, shape (n,)."""
        return np.maximum(np.diagonal(self.matrix), 0.0)

    def times(self, weights: FloatArray) -> FloatArray:
        """Σw, shape (n,)."""
        return np.asarray(self.matrix @ weights)

    def variance(self, weights: FloatArray) -> float:
        """w'Σw."""
        return max(float(weights @ self.matrix @ weights), 0.0)

    def block(self, assets: npt.NDArray[np.intp]) -> FloatArray:
        """Rows and columns of Σ for some assets, given by index."""
        return self.matrix[np.ix_(assets, assets)]


class RollingMoments:
    """Mean and sample covariance of a window that moves one row at a time.

    Args:
        returns: The first window, shape (T, n).
    """

    def __init__(self, returns: FloatArray) -> None:
        self._count = len(returns)
        self._shift = returns.mean(axis=0)
        # Sums of what is over the first window's mean: small numbers cancel little.
        shifted = returns - self._shift
        self._total = shifted.sum(axis=0)
        self._squares = shifted.T @ shifted

    @property
    def mean(self) -> FloatArray:
        """Mean return, shape (n,)."""
        return np.asarray(self._shift + self._total / self._count)

    def replace_row(self, gone: FloatArray, come: FloatArray) -> None:
        """Update by the row that leaves the window and the one that enters it."""
        gone, come = gone - self._shift, come - self._shift
        self._total += come - gone
        # cc' − gg' in one product of rank two.
        self._squares += np.column_stack([come, -gone]) @ np.vstack([come, gone])

    def covariance(self) -> Covariance:
        """Sample covariance with the divisor T − 1."""
        drift = self._total / np.sqrt(self._count)
        matrix = (self._squares - np.outer(drift, drift)) / (self._count - 1)
        return DenseCovariance(np.zeros((0, len(matrix))), matrix=matrix)

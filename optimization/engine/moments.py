"""Estimates of the moments of returns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np

from optimization.engine.covariance import LEDOIT_WOLF, SAMPLE, Covariance
from optimization.engine.errors import InvalidProblemError
from optimization.engine.lazy import lazy_property
from optimization.engine.problem import FloatArray
from optimization.engine.sums import mean_and_squares

CANCELS_OUT = 1e-12
"""A difference of two sums of squares is rounding below this share of them."""


@dataclass(frozen=True)
class Sums:
    """What is known of some returns already.

    Attributes:
        mean: Mean return, shape (n,).
        square_sum: Σ of all squared returns.
    """

    mean: FloatArray
    square_sum: float | None = None


def sample_covariance(returns: FloatArray, sums: Sums | None = None) -> Covariance:
    """Sample covariance with the divisor T − 1."""
    sums = sums or Sums(*mean_and_squares(returns))
    scale = 1.0 / (len(returns) - 1)
    return Covariance(returns, sums.mean, scale, square_sum=sums.square_sum)


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
    spread = fourth / observations - squared_norm
    if spread <= CANCELS_OUT * squared_norm:
        spread = 0.0  # two periods say nothing of noise, and what is left is rounding
    noise = spread / (assets * observations)
    distance = squared_norm / assets - target**2
    shrinkage = min(max(noise, 0.0), distance) / distance if distance > 0 else 0.0
    scale = (1.0 - shrinkage) / observations
    return Covariance(centred, None, scale, shrinkage * target, LEDOIT_WOLF)


@dataclass(frozen=True)
class Estimate:
    """A covariance that is worked out when it is first asked for, which some objectives never do.

    Attributes:
        make: Works it out.
    """

    make: Callable[[], Covariance]

    @classmethod
    def of(cls, covariance: Covariance) -> Self:
        """One that is known already."""
        return cls(lambda: covariance)

    @lazy_property
    def covariance(self) -> Covariance:
        """The Σ in use."""
        return self.make()


def estimate_covariance(
    returns: FloatArray, requested: object = None, sums: Sums | None = None
) -> Estimate:
    """The covariance asked for; left open, the sample's, or Ledoit–Wolf's when T < 2n.

    Args:
        returns: Shape (T, n).
        requested: The estimator's name, or None.
        sums: What is known of them.

    Raises:
        InvalidProblemError: ``requested`` is no known estimator.
    """
    if requested not in (None, SAMPLE, LEDOIT_WOLF):
        raise InvalidProblemError(
            f"covariance is {requested!r}; it is one of: {SAMPLE}, {LEDOIT_WOLF}",
            ["parameters.covariance"],
        )
    observations, assets = returns.shape
    scarce = requested is None and observations < 2 * assets
    if requested == LEDOIT_WOLF or scarce:
        return Estimate(partial(ledoit_wolf, returns))
    return Estimate(partial(sample_covariance, returns, sums))

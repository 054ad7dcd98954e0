"""A portfolio of about the least variance, near which those of other least risks lie."""

from dataclasses import replace

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.covariance import Covariance, DenseCovariance
from optimization.engine.moments import Sums, sample_covariance
from optimization.engine.problem import FloatArray

DAMPING = 0.05
"""Ridge of the first guess's covariance, in mean squares times assets per period."""


def least_variance(instance: Instance) -> FloatArray:
    """The portfolio, shape (n,).

    Raises:
        InfeasibleProblemError: The region is empty.
        SolverFailureError: DAQP stopped without an answer.
    """
    programme = QuadraticProgramme(_damped_covariance(instance), instance.region)
    return programme.solve(np.zeros(instance.region.n_assets)).weights


def _damped_covariance(instance: Instance) -> Covariance:
    """Σ for a guess: without shrinkage, with what keeps it regular when periods are few."""
    count, n = instance.excess.shape
    ridge = DAMPING * n / count * instance.return_scale**2
    if instance.covariance.is_small:
        # The one in use, which whoever describes the answer asks for anyway.
        matrix = instance.covariance.dense + ridge * np.eye(n)
        return DenseCovariance(np.zeros((0, n)), matrix=matrix, proven=True)
    return replace(sample_covariance(instance.excess, Sums(instance.mean)), ridge=ridge)

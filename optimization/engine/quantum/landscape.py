"""What every bitstring of an encoding is worth, and the quadratic fit that drives the phase."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from optimization.engine.covariance import Covariance
from optimization.engine.heuristics.costs import fast_cost_function
from optimization.engine.problem import FloatArray, Problem
from optimization.engine.quantum.encoding import IntArray, LotEncoding
from optimization.engine.quantum.space import AllocationSpace
from optimization.engine.quantum.subspace import Subspace, subspace

_CHUNK = 2048
"""Portfolios valued at a time: 2048 × 1260 outcomes are 20 MB."""


class Valuation:
    """The true objective, as a cost, of allocations in a space.

    Args:
        problem: What is solved.
        covariance: The Σ in use.

    Attributes:
        cost: Cost per period of weights, shape (n,) or (p, n).
    """

    def __init__(self, problem: Problem, covariance: Covariance) -> None:
        self.problem = problem
        self.space = AllocationSpace.of(problem)
        self.mean = problem.returns.mean(axis=0)
        self.covariance = covariance
        self.cost = fast_cost_function(problem, covariance)

    def costs(self, allocations: FloatArray) -> FloatArray:
        """Cost per period of each row, shape (p,) from (p, m); worse than any if undefined."""
        weights = self.space.weights(allocations)
        parts = [self.cost(weights[k : k + _CHUNK]) for k in range(0, len(weights), _CHUNK)]
        costs = np.concatenate(parts)
        return np.where(np.isfinite(costs), costs, np.inf)

    def quadratic(self, allocations: FloatArray) -> FloatArray:
        """Columns 1, w'Σw and μ'w of each row, shape (p, 3)."""
        weights = self.space.weights(allocations)
        variances = ((weights @ self.covariance.dense) * weights).sum(axis=1)
        return np.stack([np.ones(len(weights)), variances, weights @ self.mean], axis=1)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QuadraticForm:
    """offset + Σ linear_i b_i + Σ_{i<j} pairs_ij b_i b_j over bits b: a diagonal of two-body terms.

    Compared by identity, because PennyLane hashes operations by their hyperparameters.

    Attributes:
        offset: Constant.
        linear: Shape (qubits,).
        pairs: Shape (qubits, qubits), strictly upper triangular.
    """

    offset: float
    linear: FloatArray
    pairs: FloatArray

    def values(self, bits: npt.NDArray[Any]) -> FloatArray:
        """Shape (p,) for bits of shape (p, qubits)."""
        b = bits.astype(np.float64)
        return np.asarray(self.offset + b @ self.linear + ((b @ self.pairs) * b).sum(axis=1))


class Landscape:
    """True costs and phases of every feasible bitstring of one encoding.

    Attributes:
        encoding: What the bits mean.
        subspace: The feasible bitstrings.
        allocations: The distinct allocations, shape (U, m).
        level: Which of them each bitstring holds, shape (N,).
        costs: True cost of each distinct allocation, shape (U,).
    """

    def __init__(self, encoding: LotEncoding, valuation: Valuation) -> None:
        self.encoding = encoding
        self.subspace: Subspace = subspace(encoding.qubits, encoding.lots)
        counts, self.level = _distinct(encoding, self.subspace)
        self.allocations = encoding.decode_counts(counts)
        self.costs = valuation.costs(self.allocations)
        self._valuation = valuation

    @cached_property
    def normalised(self) -> FloatArray:
        """Costs of the distinct allocations at zero mean and unit deviation over the bitstrings."""
        costs = self.costs
        finite = np.isfinite(costs)
        if not finite.all():
            worst = float(costs[finite].max()) if finite.any() else 0.0
            costs = np.where(finite, costs, worst)
        return self._standard(costs)

    @cached_property
    def cost_of_state(self) -> FloatArray:
        """Normalised cost of each bitstring, shape (N,)."""
        return np.asarray(self.normalised[self.level])

    @cached_property
    def optimal(self) -> npt.NDArray[np.bool_]:
        """Which bitstrings hold the best representable portfolio, shape (N,)."""
        return np.asarray(self.cost_of_state <= self.normalised.min() + 1e-9)

    @cached_property
    def _fit(self) -> tuple[FloatArray, float]:
        """Least-squares coefficients of 1, w'Σw, μ'w for the normalised cost, and R²."""
        columns = self._valuation.quadratic(self.allocations)
        scale = np.maximum(np.abs(columns).max(axis=0), np.finfo(np.float64).tiny)
        coefficients = np.linalg.lstsq(columns / scale, self.normalised, rcond=None)[0] / scale
        residual = self.normalised - columns @ coefficients
        spread = float(self._moments(self.normalised)[1])
        share = 1.0 - self._moments(residual)[1] ** 2 / spread**2 if spread > 0 else 1.0
        return coefficients, share

    @property
    def r_squared(self) -> float:
        """Share of the true cost's variance over the bitstrings that the phase explains."""
        return self._fit[1]

    @cached_property
    def phase(self) -> FloatArray:
        """Phase of each bitstring, shape (N,): the fit at zero mean and unit deviation."""
        fitted = self._valuation.quadratic(self.allocations) @ self._fit[0]
        return np.asarray(self._standard(fitted)[self.level])

    @property
    def form(self) -> QuadraticForm:
        """The phase as a quadratic form in the bits, for circuits of one- and two-qubit gates."""
        valuation, encoding = self._valuation, self.encoding
        fitted = valuation.quadratic(self.allocations) @ self._fit[0]
        mean, deviation = self._moments(fitted)
        scale = 1.0 / deviation if deviation > 0 else 0.0
        constant, risk, reward = self._fit[0]
        n = valuation.space.n_assets
        base, sigma = encoding.base[:n], valuation.covariance.dense
        indicator = np.equal.outer(encoding.owner, np.arange(n)) * encoding.unit
        quadratic = risk * scale * (indicator @ sigma @ indicator.T)
        slope = 2 * risk * (sigma @ base) + reward * valuation.mean
        start = constant + risk * (base @ sigma @ base) + reward * (valuation.mean @ base)
        return QuadraticForm(
            offset=float(scale * (start - mean)),
            # b² = b, so the diagonal is linear; each pair of the symmetric matrix counts twice.
            linear=np.asarray(scale * (indicator @ slope) + np.diag(quadratic)),
            pairs=np.triu(2 * quadratic, 1),
        )

    def _moments(self, values: FloatArray) -> tuple[float, float]:
        spread = values[self.level]
        return float(spread.mean()), float(spread.std())

    def _standard(self, values: FloatArray) -> FloatArray:
        mean, deviation = self._moments(values)
        tiny = 1e-12 * max(abs(mean), np.finfo(np.float64).tiny)
        return np.asarray((values - mean) / deviation if deviation > tiny else 0.0 * values)


def _distinct(encoding: LotEncoding, feasible: Subspace) -> tuple[IntArray, IntArray]:
    """Distinct lots per entry, shape (U, m), and which of them each bitstring holds, (N,)."""
    counts = encoding.counts(feasible.bits)
    radix = np.concatenate([[1], np.cumprod(encoding.copies[:-1] + 1)])
    _, first, level = np.unique(counts @ radix, return_index=True, return_inverse=True)
    return counts[first], level


class ConditionalValue:
    """Mean of the best ``share`` of the probability: the aggregate that the angles minimise.

    CVaR of the sampled costs, after Barkoutsos et al. (arXiv 1907.04769).

    Args:
        costs: Cost of each bitstring, shape (N,).
        share: Between 0 (exclusive) and 1, which gives the plain expectation.
    """

    def __init__(self, costs: FloatArray, share: float) -> None:
        self._costs = costs
        self._share = share
        self._order = np.argsort(costs, kind="stable")

    def __call__(self, probabilities: FloatArray) -> tuple[float, FloatArray]:
        """The value, and its derivative by each probability."""
        if self._share >= 1.0:
            return float(probabilities @ self._costs), self._costs
        reached = np.cumsum(probabilities[self._order])
        cut = min(int(np.searchsorted(reached, self._share)), reached.size - 1)
        threshold = float(self._costs[self._order[cut]])
        weights = np.minimum(self._costs - threshold, 0.0) / self._share
        return threshold + float(probabilities @ weights), weights

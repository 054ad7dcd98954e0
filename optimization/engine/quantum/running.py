"""One round: search a circuit's angles, then draw portfolios from it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.encoding import IntArray
from optimization.engine.quantum.landscape import ConditionalValue, Landscape
from optimization.engine.quantum.parameters import SAMPLES, QuantumParameters

TRUST_RADIUS = 0.3
"""First step of COBYLA, in radians."""


class TimeUpError(Exception):
    """The time limit was reached inside a round; the best angles so far are used."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Bitstrings drawn from one circuit.

    Attributes:
        counts: How often each feasible bitstring was seen, shape (N,).
        frequencies: Probability of each given that it is feasible, exact or estimated, shape (N,).
        p_feasible: Share of all bitstrings that were feasible.
    """

    counts: IntArray
    frequencies: FloatArray
    p_feasible: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished round.

    Attributes:
        draw: The final bitstrings.
        evaluations: Circuit evaluations, gradients included.
        iterations: Optimiser iterations.
    """

    draw: Draw
    evaluations: int
    iterations: int


Tick = Callable[[], None]
"""Called before every evaluation: reports, and raises to stop."""

Sampler = Callable[[Ansatz, Landscape, FloatArray], Draw]
"""Runs the circuit at some angles and draws bitstrings from it."""


class Runner(Protocol):
    """Where circuits run and how their angles are searched."""

    def draw(self, ansatz: Ansatz, landscape: Landscape, angles: FloatArray) -> Draw:
        """Draw from the circuit without a search."""
        ...

    def run(self, ansatz: Ansatz, landscape: Landscape, start: FloatArray, tick: Tick) -> Outcome:
        """Search the angles from ``start``, then draw."""
        ...


class ExactRunner:
    """Exact probabilities and adjoint gradients of the subspace simulator, L-BFGS-B.

    Args:
        settings: Iterations and aggregate.
        sampler: Draws the bitstrings at the end; by default from the exact probabilities.
        rng: Source of the draws.
    """

    def __init__(
        self, settings: QuantumParameters, rng: np.random.Generator, sampler: Sampler | None = None
    ) -> None:
        self._settings = settings
        self._draw = sampler or exact_sampler(rng, SAMPLES)

    def draw(self, ansatz: Ansatz, landscape: Landscape, angles: FloatArray) -> Draw:
        """Draw from the circuit without a search."""
        return self._draw(ansatz, landscape, angles)

    def run(self, ansatz: Ansatz, landscape: Landscape, start: FloatArray, tick: Tick) -> Outcome:
        """Search the angles from ``start``, then draw."""
        aggregate = ConditionalValue(landscape.cost_of_state, self._settings.alpha)
        best: tuple[float, FloatArray] = (np.inf, start)

        def evaluate(angles: FloatArray) -> tuple[float, FloatArray]:
            nonlocal best
            tick()
            value, gradient = ansatz.value_and_gradient(angles, aggregate)
            if value < best[0]:
                best = (value, angles.copy())
            return value, gradient

        options = {"maxiter": self._settings.iterations, "ftol": 1e-5, "gtol": 1e-4}
        try:
            found = minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
            iterations = int(found.nit)
        except TimeUpError:
            iterations = aggregate.evaluations
        draw = self._draw(ansatz, landscape, best[1])
        return Outcome(draw, aggregate.evaluations + 1, iterations)


class SamplingRunner:
    """Only drawn bitstrings, as on hardware: COBYLA on the aggregate of their costs.

    Args:
        settings: Iterations and aggregate.
        sampler: Runs the circuits.
    """

    def __init__(self, settings: QuantumParameters, sampler: Sampler) -> None:
        self._settings = settings
        self._sampler = sampler

    def draw(self, ansatz: Ansatz, landscape: Landscape, angles: FloatArray) -> Draw:
        """Draw from the circuit without a search."""
        return self._sampler(ansatz, landscape, angles)

    def run(self, ansatz: Ansatz, landscape: Landscape, start: FloatArray, tick: Tick) -> Outcome:
        """Search the angles from ``start``; the draw is the best one seen."""
        aggregate = ConditionalValue(landscape.cost_of_state, self._settings.alpha)
        best: tuple[float, Draw | None] = (np.inf, None)
        evaluations = 0

        def evaluate(angles: FloatArray) -> float:
            nonlocal best, evaluations
            tick()
            draw = self._sampler(ansatz, landscape, angles)
            evaluations += 1
            value, _ = aggregate(draw.frequencies)
            if best[1] is None or value < best[0]:
                best = (value, draw)
            return value

        # COBYLA needs a point per angle and two more before its first step.
        allowed = max(self._settings.iterations, ansatz.n_parameters + 2)
        options = {"maxiter": allowed, "rhobeg": TRUST_RADIUS, "tol": 1e-2}
        with suppress(TimeUpError):
            minimize(evaluate, start, method="COBYLA", options=options)
        draw = best[1] or self._sampler(ansatz, landscape, start)
        return Outcome(draw, evaluations, evaluations)


def exact_sampler(rng: np.random.Generator, shots: int) -> Sampler:
    """Draws from the subspace simulator that keep the exact probabilities beside them."""

    def draw(ansatz: Ansatz, _landscape: Landscape, angles: FloatArray) -> Draw:
        probabilities = ansatz.probabilities(angles)
        probabilities = probabilities / probabilities.sum()
        return Draw(rng.multinomial(shots, probabilities), probabilities, 1.0)

    return draw


def shot_sampler(rng: np.random.Generator, shots: int) -> Sampler:
    """Draws from the subspace simulator of which only the frequencies are kept, as on hardware."""
    exact = exact_sampler(rng, shots)

    def draw(ansatz: Ansatz, landscape: Landscape, angles: FloatArray) -> Draw:
        counts = exact(ansatz, landscape, angles).counts
        return Draw(counts, counts / counts.sum(), 1.0)

    return draw

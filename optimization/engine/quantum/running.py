"""One round: search a circuit's angles, then draw portfolios from it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.ansatz import Aggregate, Ansatz
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
        settings: Iterations and the shares of the aggregates.
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
        descent = Descent(ansatz, start, self._settings.iterations, tick)
        with suppress(TimeUpError):
            for share in self._settings.shares:
                descent.minimise(ConditionalValue(landscape.cost_of_state, share))
        draw = self._draw(ansatz, landscape, descent.angles)
        return Outcome(draw, descent.evaluations + 1, descent.iterations)


class Descent:
    """L-BFGS-B on one aggregate after another, each from the angles of the one before.

    The mean of all samples is smooth, but its minimum says little about the best of them; a small
    share rewards the best alone, but has no slope where they are rare. So the angles are led from
    the one to the other. Kolotouros and Wallden lead them the other way (*Evolving objective
    function for improved variational quantum optimization*, 2022).

    Args:
        ansatz: Whose angles.
        start: The first angles.
        iterations: Most iterations in all.
        tick: Called before every evaluation.

    Attributes:
        angles: The best by the last aggregate.
        evaluations: Gradients taken.
        iterations: Iterations done.
    """

    def __init__(self, ansatz: Ansatz, start: FloatArray, iterations: int, tick: Tick) -> None:
        self.angles = start
        self.evaluations = 0
        self.iterations = 0
        self._ansatz = ansatz
        self._most = iterations
        self._tick = tick

    def minimise(self, aggregate: Aggregate) -> None:
        """Go on with this aggregate, as far as the iterations reach.

        Raises:
            TimeUpError: The tick said so; the best angles so far stay.
        """
        left, least = self._most - self.iterations, np.inf
        if left <= 0:
            return

        def evaluate(angles: FloatArray) -> tuple[float, FloatArray]:
            nonlocal least
            self._tick()
            value, gradient = self._ansatz.value_and_gradient(angles, aggregate)
            self.evaluations += 1
            if value < least:
                least, self.angles = value, angles.copy()
            return value, gradient

        def count(_angles: FloatArray) -> None:
            self.iterations += 1

        options = {"maxiter": left, "ftol": 1e-5, "gtol": 1e-4}
        minimize(
            evaluate, self.angles, jac=True, method="L-BFGS-B", callback=count, options=options
        )


class SamplingRunner:
    """Only drawn bitstrings, as on hardware: COBYLA on the aggregate of their costs.

    Args:
        settings: Iterations, and the share of the aggregate: the last.
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
        aggregate = ConditionalValue(landscape.cost_of_state, self._settings.shares[-1])
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

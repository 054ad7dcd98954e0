"""The two circuits as functions of their angles: probabilities, and exact adjoint gradients."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.mixer import Edge, ring_mixer
from optimization.engine.quantum.ring_circuit import RingCircuit
from optimization.engine.quantum.subspace import ComplexArray, Subspace

Aggregate = Callable[[FloatArray], tuple[float, FloatArray]]
"""Maps probabilities, shape (N,), to a value and its derivative by each probability."""

RAMP_MIXER = 1.8
RAMP_PHASE = 0.9


class Ansatz(Protocol):
    """A family of states of one subspace."""

    subspace: Subspace

    @property
    def n_parameters(self) -> int:
        """Number of angles."""
        ...

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Angles to start from, shape (n_parameters,)."""
        ...

    def probabilities(self, angles: FloatArray) -> FloatArray:
        """Probability of each basis state of the subspace, shape (N,)."""
        ...

    def value_and_gradient(
        self, angles: FloatArray, aggregate: Aggregate
    ) -> tuple[float, FloatArray]:
        """An aggregate of the probabilities and its derivative by each angle."""
        ...


def ramp(layers: int, bricks: int) -> FloatArray:
    """Fixed angles (phase rising, mixer falling) that need no optimisation: an instant answer.

    Linear ramps after *Linear ramp QAOA* (arXiv 2504.08577); shape ((1 + bricks) · layers,).
    """
    middle = (np.arange(layers) + 0.5) / layers
    return np.concatenate([RAMP_PHASE * middle, *[RAMP_MIXER * (1 - middle)] * bricks])


class RingAnsatz:
    """QAOA: a Dicke state, then layers of exp(−iγ·phase) and the XY ring.

    The two bricks of a ring (three if the number of qubits is odd) turn by an angle each, which
    gains more than a hundredth of the approximation ratio for no gate more; after *Multi-angle
    QAOA* (arXiv 2109.11455). The angles are (γ_1 … γ_p, β_11 … β_1p, β_21 … ).

    Args:
        subspace: Where the state lives.
        phase: Diagonal of the phase separator, shape (N,).
        layers: Number p of layers.
    """

    def __init__(self, subspace: Subspace, phase: FloatArray, layers: int) -> None:
        self.subspace = subspace
        self.layers = layers
        self.phase = phase
        self._mixer = ring_mixer(subspace)
        self.bricks = len(self._mixer.bricks)
        own = phase[self._mixer.home]
        self._circuit = RingCircuit(self._mixer, own, layers)
        self._circuit.inlet[:] = subspace.size**-0.5 * self._mixer.gauge
        levels, level = np.unique(own, return_inverse=True)
        # The copies of an asset give equal phases, which are computed once.
        self._shared = (levels, level) if 2 * levels.size < own.size else None
        self._own = own

    @property
    def n_parameters(self) -> int:
        """One angle for the phase of each layer, and one for each of its bricks."""
        return (1 + self.bricks) * self.layers

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """The fixed ramp; ``rng`` is not used."""
        del rng
        return ramp(self.layers, self.bricks)

    def _run(self, angles: FloatArray) -> ComplexArray:
        """Final state in the mixer's layout, shape (N,)."""
        gammas, *betas = angles.reshape(1 + self.bricks, self.layers)
        phases = self._circuit.phases
        if self._shared is None:
            _cis(np.multiply.outer(-gammas, self._own), phases)
        else:
            levels, level = self._shared
            unit = np.empty((self.layers, levels.size), dtype=np.complex128)
            _cis(np.multiply.outer(-gammas, levels), unit)
            unit.take(level, axis=1, out=phases, mode="clip")
        return self._circuit.run(np.array(betas))

    def state(self, angles: FloatArray) -> ComplexArray:
        """Amplitudes in the order of the subspace, shape (N,)."""
        out = np.empty(self.subspace.size, dtype=np.complex128)
        out[self._mixer.home] = self._run(angles) * self._mixer.gauge.conj()
        return out

    def probabilities(self, angles: FloatArray) -> FloatArray:
        """Probability of each basis state, shape (N,)."""
        return self._ordered(self._run(angles))

    def _ordered(self, ket: ComplexArray) -> FloatArray:
        out = np.empty(self.subspace.size)
        out[self._mixer.home] = ket.real**2 + ket.imag**2
        return out

    def value_and_gradient(
        self, angles: FloatArray, aggregate: Aggregate
    ) -> tuple[float, FloatArray]:
        """An aggregate of the probabilities and its derivative by each angle."""
        ket = self._run(angles)
        value, weights = aggregate(self._ordered(ket))
        self._circuit.take_back(weights[self._mixer.home] * ket)
        return value, self._circuit.slopes().reshape(-1)


def _cis(angles: FloatArray, out: ComplexArray) -> None:
    """exp(i·angle) to rounding, faster than a complex exponential.

    Large arrays are split into the nearest of 4096 table angles and a rest below 8e-4, for which
    five terms of the series are exact; a block at a time, so that all of it stays in the cache.
    """
    if angles.size < _TABLE_PAYS:
        np.cos(angles, out=out.real)
        np.sin(angles, out=out.imag)
        return
    flat, results = angles.reshape(-1), out.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        turns = flat[start : start + _BLOCK] * (_TABLE.size / (2 * np.pi))
        nearest = np.rint(turns)
        rest = (turns - nearest) * (2 * np.pi / _TABLE.size)
        square = rest * rest
        small = np.empty(rest.shape, dtype=np.complex128)
        small.real = 1.0 - square * (0.5 - square / 24)
        small.imag = rest * (1.0 - square / 6)
        table = _TABLE[nearest.astype(np.int64) & (_TABLE.size - 1)]
        np.multiply(table, small, out=results[start : start + _BLOCK])


_TABLE = np.exp(2j * np.pi * np.arange(4096) / 4096)
_TABLE_PAYS = 1024
_BLOCK = 8192


def brickwork(qubits: int, depth: int) -> list[Edge]:
    """Neighbouring pairs in ``depth`` alternating layers, in the order of application."""
    return [(i, i + 1) for layer in range(depth) for i in range(layer % 2, qubits - 1, 2)]


class GivensAnsatz:
    """VQE: a Dicke state, then a brickwork of SingleExcitation gates with an angle each.

    Every amplitude stays real. From a basis state instead of the Dicke state the search collapsed
    onto wrong strings.

    Args:
        subspace: Where the state lives.
        depth: Number of alternating layers of neighbouring pairs.
    """

    spread = 0.1
    """Standard deviation of the random initial angles."""

    def __init__(self, subspace: Subspace, depth: int) -> None:
        self.subspace = subspace
        self.depth = depth
        self.edges = brickwork(subspace.qubits, depth)
        # SingleExcitation turns (01, 10) by [[c, −s], [s, c]].
        self._pairs = [subspace.pairs(*edge) for edge in self.edges]

    @property
    def n_parameters(self) -> int:
        """One angle a gate."""
        return len(self.edges)

    def initial(self, rng: np.random.Generator) -> FloatArray:
        """Small random angles around the Dicke state."""
        return rng.normal(0.0, self.spread, self.n_parameters)

    def state(self, angles: FloatArray) -> FloatArray:
        """Real amplitudes in the order of the subspace, shape (N,)."""
        amplitudes = self.subspace.uniform()
        cosines, sines = np.cos(angles / 2), np.sin(angles / 2)
        for (low, high), c, s in zip(self._pairs, cosines, sines, strict=True):
            a, b = amplitudes[low], amplitudes[high]
            amplitudes[low] = c * a - s * b
            amplitudes[high] = s * a + c * b
        return amplitudes

    def probabilities(self, angles: FloatArray) -> FloatArray:
        """Probability of each basis state, shape (N,)."""
        return np.asarray(self.state(angles) ** 2)

    def value_and_gradient(
        self, angles: FloatArray, aggregate: Aggregate
    ) -> tuple[float, FloatArray]:
        """An aggregate of the probabilities and its derivative by each angle."""
        ket = self.state(angles)
        value, weights = aggregate(ket**2)
        pair = np.stack([weights * ket, ket])
        gradient = np.empty(self.n_parameters)
        cosines, sines = np.cos(angles / 2), np.sin(angles / 2)
        for k in range(self.n_parameters - 1, -1, -1):
            low, high = self._pairs[k]
            a, b = pair.take(low, axis=1), pair.take(high, axis=1)
            gradient[k] = b[0] @ a[1] - a[0] @ b[1]
            c, s = cosines[k], sines[k]
            pair[:, low] = c * a + s * b
            pair[:, high] = c * b - s * a
        return value, gradient

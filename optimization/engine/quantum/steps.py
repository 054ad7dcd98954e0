"""The operations of the subspace device: each applies itself, and undoes itself with a slope."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from pennylane.exceptions import DeviceError
from pennylane.operation import Operator
from pennylane.wires import Wires

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.landscape import QuadraticForm
from optimization.engine.quantum.mixer import ring_mixer
from optimization.engine.quantum.ring_circuit import RingCircuit
from optimization.engine.quantum.subspace import ComplexArray, Subspace

_LEAK = 1e-9
"""Probability outside the subspace that a prepared state may have by rounding."""


class Step(Protocol):
    """A gate with at most one angle θ on amplitudes of shape (N,)."""

    def apply(self, ket: ComplexArray) -> ComplexArray:
        """The state after the gate."""
        ...

    def undo(
        self, bra: ComplexArray, ket: ComplexArray
    ) -> tuple[float, ComplexArray, ComplexArray]:
        """2 Re⟨bra| ∂ket/∂θ⟩, then both states before the gate."""
        ...


class Diagonal:
    """exp(−iθ·generator) with a real diagonal generator, shape (N,)."""

    def __init__(self, angle: float, generator: FloatArray) -> None:
        self._generator = generator
        self._phase = np.exp(-1j * angle * generator)

    def apply(self, ket: ComplexArray) -> ComplexArray:
        """The state after the gate."""
        return np.asarray(self._phase * ket)

    def undo(
        self, bra: ComplexArray, ket: ComplexArray
    ) -> tuple[float, ComplexArray, ComplexArray]:
        """Slope, then both states before the gate."""
        slope = 2 * float(np.vdot(bra, self._generator * ket).imag)
        back = self._phase.conj()
        return slope, back * bra, back * ket


class PairRotation:
    """exp(θ/2 · generator) on the amplitudes of (01, 10), where generator² = −1."""

    def __init__(self, angle: float, generator: ComplexArray, pairs: Any) -> None:
        self._generator = generator
        self._low, self._high = pairs
        half = angle / 2
        self._rotation = np.cos(half) * np.eye(2) + np.sin(half) * generator

    def _rotate(self, state: ComplexArray, rotation: ComplexArray) -> ComplexArray:
        out = state.copy()
        a, b = state[self._low], state[self._high]
        out[self._low] = rotation[0, 0] * a + rotation[0, 1] * b
        out[self._high] = rotation[1, 0] * a + rotation[1, 1] * b
        return out

    def apply(self, ket: ComplexArray) -> ComplexArray:
        """The state after the gate."""
        return self._rotate(ket, self._rotation)

    def undo(
        self, bra: ComplexArray, ket: ComplexArray
    ) -> tuple[float, ComplexArray, ComplexArray]:
        """Slope, then both states before the gate."""
        a, b = ket[self._low], ket[self._high]
        g = self._generator
        slope = np.vdot(bra[self._low], g[0, 0] * a + g[0, 1] * b)
        slope += np.vdot(bra[self._high], g[1, 0] * a + g[1, 1] * b)
        back = self._rotation.conj().T
        return float(slope.real), self._rotate(bra, back), self._rotate(ket, back)


class RingBrick:
    """One brick of the XY ring, by the solvers' kernel; the other bricks turn by nothing."""

    def __init__(self, angle: float, brick: int, feasible: Subspace) -> None:
        self._mixer = ring_mixer(feasible)
        self._brick = brick
        self._angles = np.zeros((len(self._mixer.bricks), 1))
        self._angles[brick] = angle
        self._circuit = RingCircuit(self._mixer, np.zeros(feasible.size), layers=1)
        self._circuit.phases[:] = 1.0

    def _enter(self, state: ComplexArray) -> ComplexArray:
        return np.asarray(state[self._mixer.home] * self._mixer.gauge)

    def _leave(self, state: ComplexArray) -> ComplexArray:
        out = np.empty_like(state)
        out[self._mixer.home] = state * self._mixer.gauge.conj()
        return out

    def apply(self, ket: ComplexArray) -> ComplexArray:
        """The state after the brick."""
        self._circuit.inlet[:] = self._enter(ket)
        return self._leave(self._circuit.run(self._angles))

    def undo(
        self, bra: ComplexArray, ket: ComplexArray
    ) -> tuple[float, ComplexArray, ComplexArray]:
        """Slope, then both states before the brick."""
        circuit = self._circuit
        circuit.take_back(self._enter(ket))
        circuit.inlet[:] = circuit.origin()
        circuit.run(self._angles)
        circuit.take_back(self._enter(bra))
        slope = float(circuit.slopes()[1 + self._brick, 0])
        return slope, self._leave(circuit.origin()), self._leave(circuit.inlet)


_XY = np.array([[0, 1j], [1j, 0]])
_GIVENS = np.array([[0, -1], [1, 0]], dtype=np.complex128)

StepBuilder = Callable[[Operator, Subspace, Sequence[int]], Step]


def _angle(operation: Operator) -> float:
    return float(operation.data[0])


def _parity(operation: Operator, feasible: Subspace, places: Sequence[int]) -> Step:
    signs = 1.0 - 2.0 * (feasible.bits[:, list(places)].sum(axis=1) % 2)
    return Diagonal(_angle(operation), signs / 2)


def _global(operation: Operator, feasible: Subspace, _places: Sequence[int]) -> Step:
    return Diagonal(_angle(operation), np.ones(feasible.size))


def _phase(operation: Operator, feasible: Subspace, places: Sequence[int]) -> Step:
    return Diagonal(_angle(operation), _form_values(operation.form, feasible, tuple(places)))


@lru_cache(maxsize=32)
def _form_values(form: QuadraticForm, feasible: Subspace, places: tuple[int, ...]) -> FloatArray:
    """The form on the subspace; every layer and evaluation of a circuit shares it."""
    return form.values(feasible.bits[:, list(places)])


def _xy(operation: Operator, feasible: Subspace, places: Sequence[int]) -> Step:
    return PairRotation(_angle(operation), _XY, feasible.pairs(places[0], places[1]))


def _givens(operation: Operator, feasible: Subspace, places: Sequence[int]) -> Step:
    return PairRotation(_angle(operation), _GIVENS, feasible.pairs(places[0], places[1]))


def _brick(operation: Operator, feasible: Subspace, places: Sequence[int]) -> Step:
    if list(places) != list(range(feasible.qubits)):
        raise DeviceError("XYBrick runs over all wires of the device, in their order")
    return RingBrick(_angle(operation), operation.brick, feasible)


STEPS: Mapping[str, StepBuilder] = {
    "RZ": _parity,
    "IsingZZ": _parity,
    "MultiRZ": _parity,
    "GlobalPhase": _global,
    "PhaseSeparator": _phase,
    "IsingXY": _xy,
    "SingleExcitation": _givens,
    "XYBrick": _brick,
}


def initial_amplitudes(operation: Operator, feasible: Subspace, wires: Wires) -> ComplexArray:
    """Amplitudes of a prepared state, shape (N,).

    Raises:
        DeviceError: The state is not of the device's weight.
    """
    if operation.name == "DickeState":
        whole = set(operation.wires) == set(wires)
        if whole and operation.hyperparameters["weight"] == feasible.weight:
            return feasible.uniform().astype(np.complex128)
    full = np.asarray(operation.state_vector(wire_order=wires)).reshape(-1)
    ket = full[feasible.states].astype(np.complex128)
    if abs(float(np.vdot(ket, ket).real) - 1.0) > _LEAK:
        raise DeviceError(f"the prepared state is not of Hamming weight {feasible.weight}")
    return ket


def diagonal_values(observable: Operator, feasible: Subspace, wires: Wires) -> FloatArray:
    """Eigenvalue of each basis state for an observable of Z and identity terms, shape (N,)."""
    signs = np.ascontiguousarray(1.0 - 2.0 * feasible.bits.T)
    values = np.zeros(feasible.size)
    for word, coefficient in observable.pauli_rep.items():
        product = np.full(feasible.size, float(np.real(coefficient)))
        for wire in word:
            product *= signs[int(wires.index(wire))]
        values += product
    return values

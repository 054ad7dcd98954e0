"""The circuits on PennyLane: three operations that decompose into gates any device knows."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.operation import Operation, Operator
from pennylane.wires import Wires

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.gates import Gate, brick_gates, dicke_gates, phase_gates
from optimization.engine.quantum.landscape import QuadraticForm
from optimization.engine.quantum.subspace import Subspace, weight_states


def operations(gates: Iterable[Gate], wires: Sequence[Any]) -> list[Operator]:
    """PennyLane operations of plain gates, whose positions refer to ``wires``."""
    return [_operation(gate, wires) for gate in gates]


def _operation(gate: Gate, wires: Sequence[Any]) -> Operator:
    if gate.name == "GlobalPhase":
        return qml.GlobalPhase(gate.angle)
    kind = getattr(qml, gate.name)
    on = [wires[position] for position in gate.wires]
    return kind(on) if gate.angle is None else kind(gate.angle, wires=on)


class DickeState(Operation):  # type: ignore[misc]
    """Equal superposition of all bitstrings of ``wires`` with ``weight`` ones, from all zeros."""

    num_params = 0
    grad_method = None

    def __init__(self, weight: int, wires: Any, id: str | None = None) -> None:  # noqa: A002
        wires = Wires(wires)
        if not 0 < weight < len(wires):
            raise ValueError(f"weight is {weight}; it lies between 1 and {len(wires) - 1}")
        self._hyperparameters = {"weight": weight}
        super().__init__(wires=wires, id=id)

    def state_vector(self, wire_order: Any = None) -> Any:
        """The full vector, as an array of one axis of length 2 per wire."""
        size = len(self.wires)
        states = weight_states(size, self.hyperparameters["weight"])
        vector = np.zeros(2**size, dtype=np.complex128)
        vector[states] = states.size**-0.5
        return qml.StatePrep(vector, wires=self.wires).state_vector(wire_order)

    @staticmethod
    def compute_decomposition(wires: Any, weight: int) -> list[Operator]:
        """X, RY and CNOT gates; see :func:`~optimization.engine.quantum.gates.dicke_gates`."""
        return operations(dicke_gates(len(wires), weight), wires)


class PhaseSeparator(Operation):  # type: ignore[misc]
    """exp(−iγ·form) for a quadratic form in the bits, as one operation.

    Args:
        gamma: The angle γ.
        form: Diagonal of two-body terms.
        wires: One per bit.
        id: Label of the operation.
    """

    num_params = 1
    grad_method = None

    def __init__(
        self,
        gamma: Any,
        form: QuadraticForm,
        wires: Any,
        id: str | None = None,  # noqa: A002
    ) -> None:
        self._hyperparameters = {"form": form}
        super().__init__(gamma, wires=wires, id=id)

    @property
    def form(self) -> QuadraticForm:
        """The diagonal's quadratic form."""
        form: QuadraticForm = self.hyperparameters["form"]
        return form

    @staticmethod
    def compute_decomposition(gamma: Any, wires: Any, form: QuadraticForm) -> list[Operator]:
        """RZ, IsingZZ and a global phase; the angle may be a tensor that is differentiated."""
        unit = phase_gates(form, 1.0)
        return [_operation(_scaled(gate, gamma), wires) for gate in unit]


class XYBrick(Operation):  # type: ignore[misc]
    """IsingXY(β) on every second pair of neighbours along a ring of wires, as one operation.

    Args:
        beta: The angle β.
        brick: Which pairs: 0 from the first wire, 1 from the second, 2 the pair that closes an odd
            ring.
        wires: The ring.
        id: Label of the operation.
    """

    num_params = 1
    grad_method = None

    def __init__(
        self,
        beta: Any,
        brick: int,
        wires: Any,
        id: str | None = None,  # noqa: A002
    ) -> None:
        self._hyperparameters = {"brick": brick}
        super().__init__(beta, wires=wires, id=id)

    @property
    def brick(self) -> int:
        """Which pairs."""
        return int(self.hyperparameters["brick"])

    @staticmethod
    def compute_decomposition(beta: Any, wires: Any, brick: int) -> list[Operator]:
        """IsingXY gates with the same angle."""
        unit = brick_gates(len(wires), brick, 1.0)
        return [_operation(_scaled(gate, beta), wires) for gate in unit]


def _scaled(gate: Gate, angle: Any) -> Gate:
    factor = 1.0 if gate.angle is None else gate.angle
    return Gate(gate.name, gate.wires, factor * angle)


def ring_operations(
    feasible: Subspace, form: QuadraticForm, angles: FloatArray, wires: Sequence[Any]
) -> list[Operator]:
    """QAOA with one operation per phase and per brick; angles of shape (1 + bricks, p)."""
    circuit: list[Operator] = [DickeState(feasible.weight, wires)]
    for gamma, *betas in zip(*angles, strict=True):
        circuit.append(PhaseSeparator(gamma, form, wires))
        circuit += [XYBrick(beta, brick, wires) for brick, beta in enumerate(betas)]
    return circuit

"""The circuits as plain lists of gates on one or two qubits: what hardware runs, and its cost."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.ansatz import brickwork
from optimization.engine.quantum.landscape import QuadraticForm
from optimization.engine.quantum.mixer import ring_bricks
from optimization.engine.quantum.subspace import Subspace


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate by its PennyLane name.

    Attributes:
        name: ``PauliX``, ``RY``, ``RZ``, ``CNOT``, ``IsingZZ``, ``IsingXY``, ``SingleExcitation``
            or ``GlobalPhase``.
        wires: Positions of its qubits; none for a global phase.
        angle: Its parameter, or None if it has none.
    """

    name: str
    wires: tuple[int, ...]
    angle: float | None = None


@dataclass(frozen=True, slots=True)
class CircuitCost:
    """What a circuit costs on hardware with these gates and any pair of qubits coupled.

    Attributes:
        depth: Longest chain of gates that have to wait for each other.
        two_qubit_gates: Gates on two qubits.
    """

    depth: int
    two_qubit_gates: int


def circuit_cost(gates: Iterable[Gate], qubits: int) -> CircuitCost:
    """Depth and number of two-qubit gates."""
    ready, pairs = [0] * qubits, 0
    for gate in gates:
        if gate.wires:
            level = 1 + max(ready[wire] for wire in gate.wires)
            for wire in gate.wires:
                ready[wire] = level
        pairs += len(gate.wires) == 2
    return CircuitCost(depth=max(ready), two_qubit_gates=pairs)


def dicke_gates(qubits: int, weight: int) -> list[Gate]:
    """Prepare the equal superposition of all bitstrings with ``weight`` ones.

    Split and cyclic shift after Bärtschi and Eidenbenz (arXiv 1904.07358), lemma 2; O(qubits ·
    weight) gates, no ancilla.
    """
    gates = [Gate("PauliX", (wire,)) for wire in range(qubits - weight, qubits)]
    for size in range(qubits, 1, -1):
        last = size - 1
        for k in range(1, min(weight, size - 1) + 1):
            target = last - k
            angle = 2 * float(np.arccos(np.sqrt(k / size)))
            gates.append(Gate("CNOT", (target, last)))
            if k == 1:
                gates += _controlled_rotation(angle, last, target)
            else:
                gates += _doubly_controlled_rotation(angle, (last, target + 1), target)
            gates.append(Gate("CNOT", (target, last)))
    return gates


def _controlled_rotation(angle: float, control: int, target: int) -> list[Gate]:
    return [
        Gate("RY", (target,), angle / 2),
        Gate("CNOT", (control, target)),
        Gate("RY", (target,), -angle / 2),
        Gate("CNOT", (control, target)),
    ]


def _doubly_controlled_rotation(angle: float, controls: tuple[int, int], target: int) -> list[Gate]:
    """RY on the target if both controls are set; the quarters cancel otherwise."""
    gates = []
    for sign, control in zip((1, -1, 1, -1), (*controls, *controls), strict=True):
        gates.append(Gate("RY", (target,), sign * angle / 4))
        gates.append(Gate("CNOT", (control, target)))
    return gates


def phase_gates(form: QuadraticForm, gamma: float) -> list[Gate]:
    """exp(−iγ·form): with b = (1 − Z)/2 every term is a Z, a ZZ or a constant."""
    symmetric = form.pairs + form.pairs.T
    fields = -form.linear / 2 - symmetric.sum(axis=1) / 4
    constant = form.offset + float(form.linear.sum()) / 2 + float(form.pairs.sum()) / 4
    gates = [
        Gate("RZ", (int(wire),), 2 * gamma * float(field)) for wire, field in enumerate(fields)
    ]
    gates += [
        Gate("IsingZZ", (int(i), int(j)), gamma * float(form.pairs[i, j]) / 2)
        for i, j in np.argwhere(form.pairs != 0)
    ]
    gates.append(Gate("GlobalPhase", (), gamma * constant))
    return gates


def brick_gates(qubits: int, brick: int, beta: float) -> list[Gate]:
    """One of the ring's layers of disjoint pairs, by one angle."""
    return [Gate("IsingXY", edge, beta) for edge in ring_bricks(qubits)[brick]]


def ring_circuit(feasible: Subspace, form: QuadraticForm, angles: FloatArray) -> list[Gate]:
    """QAOA: Dicke state, then phase and ring of each layer; angles of shape (1 + bricks, p)."""
    gates = dicke_gates(feasible.qubits, feasible.weight)
    for gamma, *betas in angles.T:
        gates += phase_gates(form, float(gamma))
        for brick, beta in enumerate(betas):
            gates += brick_gates(feasible.qubits, brick, float(beta))
    return gates


def givens_circuit(feasible: Subspace, angles: FloatArray) -> list[Gate]:
    """VQE: Dicke state, then as many gates of the brickwork as there are angles."""
    gates = dicke_gates(feasible.qubits, feasible.weight)
    edges = brickwork(feasible.qubits, 2 * len(angles))
    gates += [
        Gate("SingleExcitation", edge, float(angle))
        for edge, angle in zip(edges, angles, strict=False)
    ]
    return gates

"""Circuits as lists of gates, against PennyLane's own counting."""

import numpy as np
import pennylane as qml
import pytest

from optimization.engine.quantum.circuits import operations
from optimization.engine.quantum.gates import (
    Gate,
    circuit_cost,
    dicke_gates,
    givens_circuit,
    ring_circuit,
)
from optimization.engine.quantum.landscape import QuadraticForm
from optimization.engine.quantum.subspace import subspace


def _form(qubits: int) -> QuadraticForm:
    return QuadraticForm(1.0, np.ones(qubits), np.triu(np.ones((qubits, qubits)), 1))


@pytest.mark.parametrize(
    "gates",
    [
        ring_circuit(subspace(7, 3), _form(7), np.ones((4, 2))),
        givens_circuit(subspace(6, 3), np.ones(9)),
        dicke_gates(5, 4),
    ],
    ids=["ring", "givens", "dicke"],
)
def test_depth_and_pairs_equal_pennylanes(gates: list[Gate]) -> None:
    qubits = 1 + max(max(gate.wires, default=0) for gate in gates)
    cost = circuit_cost(gates, qubits)
    on_wires = [op for op in operations(gates, range(qubits)) if op.name != "GlobalPhase"]
    resources = qml.tape.QuantumScript(on_wires).specs["resources"]
    assert cost.depth == resources.depth
    assert cost.two_qubit_gates == resources.gate_sizes[2]


def test_a_dense_phase_has_a_gate_for_every_pair() -> None:
    gates = ring_circuit(subspace(5, 2), _form(5), np.ones((4, 1)))
    assert sum(gate.name == "IsingZZ" for gate in gates) == 10
    assert sum(gate.name == "IsingXY" for gate in gates) == 5

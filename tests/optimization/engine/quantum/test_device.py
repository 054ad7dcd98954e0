"""The subspace device against lightning.qubit and default.qubit, and its own gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from optimization.engine.quantum.ansatz import GivensAnsatz, RingAnsatz, brickwork
from optimization.engine.quantum.circuits import (
    DickeState,
    PhaseSeparator,
    XYBrick,
    ring_operations,
)
from optimization.engine.quantum.device import SubspaceDevice
from optimization.engine.quantum.landscape import QuadraticForm
from optimization.engine.quantum.mixer import ring_bricks
from optimization.engine.quantum.subspace import subspace

EXACT = 1e-12
SIZES = [(2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (8, 4)]
OTHERS = ["lightning.qubit", "default.qubit"]


def _form(qubits: int) -> QuadraticForm:
    rng = np.random.default_rng(qubits)
    pairs = np.triu(rng.normal(size=(qubits, qubits)), 1)
    return QuadraticForm(offset=0.3, linear=rng.normal(size=qubits), pairs=pairs)


def _ring_circuit(qubits: int, weight: int) -> Callable[[Any], None]:
    form = _form(qubits)

    def circuit(angles: Any) -> None:
        rows = angles.reshape(1 + len(ring_bricks(qubits)), -1)
        ring_operations(subspace(qubits, weight), form, rows, range(qubits))

    return circuit


def _givens_circuit(qubits: int, weight: int) -> Callable[[Any], None]:
    def circuit(angles: Any) -> None:
        DickeState(weight, range(qubits))
        for edge, angle in zip(brickwork(qubits, 2 * len(angles)), angles, strict=False):
            qml.SingleExcitation(angle, wires=edge)

    return circuit


def _mixed_circuit(qubits: int, weight: int) -> Callable[[Any], None]:
    """Every gate the device knows, on wires that are no neighbours."""
    last = qubits - 1

    def circuit(angles: Any) -> None:
        DickeState(weight, range(qubits))
        qml.RZ(angles[0], wires=last)
        qml.IsingXY(angles[1], wires=[last, 0])
        qml.IsingZZ(angles[2], wires=[0, last])
        qml.SingleExcitation(angles[3], wires=[0, last])
        qml.MultiRZ(angles[0], wires=range(qubits))
        qml.GlobalPhase(angles[1])

    return circuit


def _state(circuit: Callable[[Any], None], device: Any, angles: Any) -> Any:
    def run(values: Any) -> Any:
        circuit(values)
        return qml.state()

    return qml.QNode(run, device, diff_method=None)(angles)


CIRCUITS = [_ring_circuit, _givens_circuit, _mixed_circuit]
ANGLES = np.sin(np.arange(1.0, 13.0))
"""Twelve angles: whole layers of rings with one, two and three bricks."""


@pytest.mark.parametrize("build", CIRCUITS)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(("qubits", "weight"), SIZES)
def test_amplitudes_equal_those_of_other_devices(
    build: Callable[[int, int], Callable[[Any], None]], other: str, qubits: int, weight: int
) -> None:
    circuit = build(qubits, weight)
    ours = _state(circuit, SubspaceDevice(qubits, weight), ANGLES)
    theirs = _state(circuit, qml.device(other, wires=qubits), ANGLES)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=EXACT)


def test_the_device_runs_the_kernel_that_the_solvers_use() -> None:
    basis, form = subspace(6, 3), _form(6)
    ring = RingAnsatz(basis, form.values(basis.bits), layers=4)
    state = _state(_ring_circuit(6, 3), SubspaceDevice(6, 3), ANGLES)
    np.testing.assert_allclose(state[basis.states], ring.state(ANGLES), atol=EXACT)
    givens = GivensAnsatz(basis, depth=2)
    angles = np.linspace(-1, 1, givens.n_parameters)
    state = _state(_givens_circuit(6, 3), SubspaceDevice(6, 3), angles)
    np.testing.assert_allclose(state[basis.states], givens.state(angles), atol=EXACT)


OBSERVABLE = ([0.3, 0.7, -0.2], [(0,), (1, 3), (4,)])


def _observable() -> Any:
    coefficients, places = OBSERVABLE
    words = [qml.prod(*(qml.Z(wire) for wire in wires)) for wires in places]
    return qml.dot(coefficients, words)


def _gradient(device: Any, method: str, build: Callable[[int, int], Any]) -> Any:
    circuit = build(6, 3)

    @qml.qnode(device, diff_method=method)  # type: ignore[untyped-decorator, unused-ignore]
    def energy(angles: Any) -> Any:
        circuit(angles)
        return qml.expval(_observable())

    return qml.grad(energy)(pnp.array(ANGLES, requires_grad=True))


@pytest.mark.parametrize("build", CIRCUITS)
def test_gradients_equal_the_adjoint_method_of_other_devices(build: Any) -> None:
    ours = _gradient(SubspaceDevice(6, 3), "device", build)
    for other in OTHERS:
        theirs = _gradient(qml.device(other, wires=6), "adjoint", build)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=EXACT)


@pytest.mark.parametrize("device_vjp", [True, False])
def test_any_cost_of_the_probabilities_is_differentiable(device_vjp: bool) -> None:
    basis, form = subspace(6, 3), _form(6)
    costs = np.random.default_rng(4).normal(size=64)
    circuit = _ring_circuit(6, 3)

    def run(angles: Any) -> Any:
        circuit(angles)
        return qml.probs(wires=range(6))

    node = qml.QNode(run, SubspaceDevice(6, 3), diff_method="device", device_vjp=device_vjp)
    angles = pnp.array(ANGLES, requires_grad=True)
    ours = qml.grad(lambda x: qml.math.sum(node(x) * costs))(angles)
    kernel = RingAnsatz(basis, form.values(basis.bits), layers=4)
    inside = costs[basis.states]
    _, expected = kernel.value_and_gradient(ANGLES, lambda p: (float(p @ inside), inside))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=EXACT)


def test_marginal_probabilities_equal_those_of_another_device() -> None:
    def run(angles: Any) -> Any:
        _ring_circuit(6, 3)(angles)
        return qml.probs(wires=[4, 1])

    ours, theirs = (
        qml.QNode(run, device, diff_method=None)(ANGLES)
        for device in (SubspaceDevice(6, 3), qml.device("default.qubit", wires=6))
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=EXACT)


def _counts(seed: int) -> Any:
    def run(angles: Any) -> Any:
        _ring_circuit(6, 3)(angles)
        return qml.counts(wires=range(6))

    node = qml.QNode(run, SubspaceDevice(6, 3, seed=seed), diff_method=None)
    return qml.set_shots(node, shots=500)(ANGLES)


def test_shots_keep_the_weight_and_repeat_with_the_seed() -> None:
    counts = _counts(3)
    assert sum(counts.values()) == 500
    assert {key.count("1") for key in counts} == {3}
    assert counts == _counts(3)
    assert counts != _counts(4)


def test_a_gate_that_leaves_the_subspace_is_refused() -> None:
    def run() -> Any:
        DickeState(2, range(4))
        qml.Hadamard(0)
        return qml.probs(wires=range(4))

    with pytest.raises(qml.exceptions.DeviceError):
        qml.QNode(run, SubspaceDevice(4, 2), diff_method=None)()


def test_a_state_of_another_weight_is_refused() -> None:
    def run() -> Any:
        qml.BasisState(np.array([1, 0, 0, 0]), wires=range(4))
        return qml.probs(wires=range(4))

    with pytest.raises(qml.exceptions.DeviceError):
        qml.QNode(run, SubspaceDevice(4, 2), diff_method=None)()


def test_a_circuit_without_preparation_is_refused() -> None:
    def run() -> Any:
        qml.RZ(0.1, wires=0)
        return qml.probs(wires=range(4))

    with pytest.raises(qml.exceptions.DeviceError):
        qml.QNode(run, SubspaceDevice(4, 2), diff_method=None)()


@pytest.mark.parametrize(("qubits", "weight"), SIZES)
def test_operations_equal_their_decompositions(qubits: int, weight: int) -> None:
    wires = range(qubits)

    def matrix(operations: Sequence[Any]) -> Any:
        return qml.matrix(qml.tape.QuantumScript(operations), wire_order=wires)

    diagonal = np.diag(matrix(PhaseSeparator(0.7, _form(qubits), wires).decomposition()))
    bits = (np.arange(2**qubits)[:, None] >> np.arange(qubits - 1, -1, -1)) & 1
    np.testing.assert_allclose(
        diagonal, np.exp(-0.7j * _form(qubits).values(bits)), rtol=0, atol=EXACT
    )
    prepared = matrix(DickeState(weight, wires).decomposition())[:, 0]
    vector = DickeState(weight, wires).state_vector().reshape(-1)
    np.testing.assert_allclose(prepared, vector, rtol=0, atol=EXACT)
    names = {operation.name for operation in XYBrick(0.4, 0, wires).decomposition()}
    assert names == {"IsingXY"}


def test_the_brickwork_alternates() -> None:
    assert brickwork(5, 3) == [(0, 1), (2, 3), (1, 2), (3, 4), (0, 1), (2, 3)]

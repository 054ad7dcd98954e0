"""The circuits' kernels against dense matrices and finite differences."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import expm

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.ansatz import Ansatz, GivensAnsatz, RingAnsatz, ramp
from optimization.engine.quantum.landscape import ConditionalValue
from optimization.engine.quantum.mixer import Edge, ring_bricks
from optimization.engine.quantum.subspace import Subspace, subspace

SIZES = [(2, 1), (3, 1), (4, 2), (5, 3), (6, 3), (7, 3), (9, 4), (10, 5), (12, 2)]


def _hop(basis: Subspace, edge: Edge) -> FloatArray:
    """(XX + YY) / 2 on one pair, in the subspace."""
    matrix = np.zeros((basis.size, basis.size))
    low, high = basis.pairs(*edge)
    matrix[low, high] = matrix[high, low] = 1.0
    return matrix


@pytest.mark.parametrize(("qubits", "weight"), SIZES[:7])
def test_the_ring_is_the_product_of_its_matrix_exponentials(qubits: int, weight: int) -> None:
    basis = subspace(qubits, weight)
    rng = np.random.default_rng(0)
    phase, gammas = rng.normal(size=basis.size), (0.7, -0.4)
    bricks = ring_bricks(qubits)
    betas = rng.normal(size=(len(bricks), 2))
    state = basis.uniform().astype(np.complex128)
    for layer, gamma in enumerate(gammas):
        state = np.exp(-1j * gamma * phase) * state
        for edges, beta in zip(bricks, betas[:, layer], strict=True):
            for edge in edges:
                state = expm(0.5j * beta * _hop(basis, edge)) @ state
    ansatz = RingAnsatz(basis, phase, layers=2)
    angles = np.concatenate([gammas, betas.reshape(-1)])
    np.testing.assert_allclose(ansatz.state(angles), state, atol=1e-12)


@pytest.mark.parametrize("qubits", range(2, 9))
def test_the_bricks_hold_every_edge_of_the_ring_once_and_touch_no_qubit_twice(qubits: int) -> None:
    bricks = ring_bricks(qubits)
    ring = {frozenset((wire, (wire + 1) % qubits)) for wire in range(qubits)}
    assert sorted(map(sorted, ring)) == sorted(sorted(edge) for brick in bricks for edge in brick)
    for brick in bricks:
        touched = [wire for edge in brick for wire in edge]
        assert len(set(touched)) == len(touched)


def _ring(basis: Subspace) -> Ansatz:
    return RingAnsatz(basis, np.random.default_rng(1).normal(size=basis.size), layers=3)


def _repeated(basis: Subspace) -> Ansatz:
    return RingAnsatz(basis, np.round(np.linspace(-1, 1, basis.size)), layers=2)


def _givens(basis: Subspace) -> Ansatz:
    return GivensAnsatz(basis, depth=4)


@pytest.mark.parametrize("build", [_ring, _repeated, _givens])
@pytest.mark.parametrize(("qubits", "weight"), SIZES)
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_gradients_agree_with_finite_differences(
    build: Callable[[Subspace], Ansatz], qubits: int, weight: int, share: float
) -> None:
    ansatz = build(subspace(qubits, weight))
    rng = np.random.default_rng(2)
    aggregate = ConditionalValue(rng.normal(size=ansatz.subspace.size), share)
    angles = rng.normal(0, 0.4, ansatz.n_parameters)
    value, gradient = ansatz.value_and_gradient(angles, aggregate)
    assert value == pytest.approx(aggregate(ansatz.probabilities(angles))[0], abs=1e-12)
    step = 1e-6
    for k in range(ansatz.n_parameters):
        shift = step * np.eye(ansatz.n_parameters)[k]
        above = ansatz.value_and_gradient(angles + shift, aggregate)[0]
        below = ansatz.value_and_gradient(angles - shift, aggregate)[0]
        assert gradient[k] == pytest.approx((above - below) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("build", [_ring, _givens])
def test_probabilities_sum_to_one(build: Callable[[Subspace], Ansatz]) -> None:
    ansatz = build(subspace(10, 5))
    angles = np.random.default_rng(3).normal(size=ansatz.n_parameters)
    assert ansatz.probabilities(angles).sum() == pytest.approx(1.0, abs=1e-12)


def test_zero_angles_leave_the_dicke_state() -> None:
    basis = subspace(6, 3)
    for ansatz in (_ring(basis), _givens(basis)):
        probabilities = ansatz.probabilities(np.zeros(ansatz.n_parameters))
        np.testing.assert_allclose(probabilities, 1 / basis.size, atol=1e-15)


def test_the_ramp_raises_the_phase_and_lowers_the_mixer() -> None:
    gamma, first, second = ramp(4, bricks=2).reshape(3, 4)
    assert (np.diff(gamma) > 0).all()
    assert (np.diff(first) < 0).all()
    np.testing.assert_array_equal(first, second)


def test_the_conditional_value_is_the_mean_of_the_best_share() -> None:
    costs = np.array([3.0, 1.0, 2.0, 4.0])
    aggregate = ConditionalValue(costs, 0.5)
    assert aggregate(np.full(4, 0.25))[0] == pytest.approx(1.5)
    assert ConditionalValue(costs, 1.0)(np.full(4, 0.25))[0] == pytest.approx(2.5)

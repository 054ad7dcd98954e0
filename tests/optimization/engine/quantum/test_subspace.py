"""The basis of one Hamming weight."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from optimization.engine.quantum.subspace import Subspace, weight_states


@pytest.mark.parametrize(("qubits", "weight"), [(1, 1), (4, 2), (7, 1), (9, 6)])
def test_the_states_are_all_integers_with_that_many_ones(qubits: int, weight: int) -> None:
    expected = sorted(
        sum(1 << bit for bit in chosen) for chosen in combinations(range(qubits), weight)
    )
    assert weight_states(qubits, weight).tolist() == expected
    assert len(expected) == comb(qubits, weight)


def test_qubit_zero_is_the_most_significant_bit() -> None:
    basis = Subspace(4, 1)
    assert basis.states.tolist() == [1, 2, 4, 8]
    assert basis.bits[-1].tolist() == [1, 0, 0, 0]


def test_pairs_swap_one_excitation() -> None:
    basis = Subspace(5, 2)
    low, high = basis.pairs(1, 3)
    assert (basis.bits[low][:, [1, 3]] == [0, 1]).all()
    assert (basis.bits[high][:, [1, 3]] == [1, 0]).all()
    rest = [0, 2, 4]
    np.testing.assert_array_equal(basis.bits[low][:, rest], basis.bits[high][:, rest])

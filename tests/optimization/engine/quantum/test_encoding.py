"""Weights become bits and bits weights, without loss and within every bound."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optimization.engine.errors import InvalidProblemError
from optimization.engine.problem import FloatArray
from optimization.engine.quantum.encoding import LotEncoding
from optimization.engine.quantum.space import AllocationSpace
from optimization.engine.quantum.subspace import subspace


def _space(lower: list[float], upper: list[float]) -> AllocationSpace:
    return AllocationSpace(lower=np.array(lower), upper=np.array(upper), n_assets=len(lower))


def _all_allocations(encoding: LotEncoding) -> FloatArray:
    return encoding.decode(subspace(encoding.qubits, encoding.lots).bits)


def test_five_assets_of_at_most_two_fifths_are_ten_qubits_with_five_lots() -> None:
    encoding = LotEncoding.lattice(_space([0] * 5, [0.4] * 5), qubits=12, states=5000)
    assert encoding is not None
    assert (encoding.qubits, encoding.lots, encoding.feasible_states) == (10, 5, 252)
    assert encoding.unit == pytest.approx(0.2)


def test_a_grid_that_misses_a_bound_is_not_built() -> None:
    assert LotEncoding.lattice(_space([0] * 3, [0.37] * 3), qubits=12, states=5000) is None


@settings(deadline=None)
@given(
    lower=st.lists(st.floats(-0.5, 0.1), min_size=2, max_size=6),
    widths=st.lists(st.floats(0.01, 1), min_size=6, max_size=6),
    unit=st.floats(1e-4, 0.5),
)
def test_every_bitstring_around_an_allocation_is_feasible(
    lower: list[float], widths: list[float], unit: float
) -> None:
    upper = [low + width for low, width in zip(lower, widths, strict=False)]
    assume(sum(lower) <= 1 <= sum(upper))
    space = _space(lower, upper)
    centre = space.centre()
    encoding = LotEncoding.around(centre, unit, space, np.arange(len(lower)))
    assume(encoding is not None)
    assert encoding is not None
    allocations = _all_allocations(encoding)
    assert np.abs(allocations.sum(axis=1) - 1).max() <= 1e-12
    assert (space.lower - allocations).max() <= 1e-12
    assert (allocations - space.upper).max() <= 1e-12
    # The allocation itself is one of them, so that a round never has to lose it.
    assert np.abs(allocations - centre).max(axis=1).min() <= 1e-12


@settings(deadline=None)
@given(
    copies=st.lists(st.integers(0, 3), min_size=2, max_size=5),
    unit=st.floats(1e-3, 0.4),
    data=st.data(),
)
def test_encoding_undoes_decoding(copies: list[int], unit: float, data: st.DataObject) -> None:
    assume(sum(copies) >= 2)
    lots = data.draw(st.integers(1, sum(copies) - 1))
    base = np.linspace(-0.1, 0.2, len(copies))
    encoding = LotEncoding(base=base, copies=np.array(copies), unit=unit, lots=lots)
    allocations = _all_allocations(encoding)
    for allocation in allocations[:: max(len(allocations) // 20, 1)]:
        bits = encoding.encode(allocation)
        assert bits.sum() == lots
        np.testing.assert_allclose(encoding.decode(bits), allocation, atol=1e-12)


def test_an_allocation_off_the_grid_is_refused() -> None:
    encoding = LotEncoding(base=np.zeros(2), copies=np.array([2, 2]), unit=0.5, lots=2)
    with pytest.raises(InvalidProblemError):
        encoding.encode(np.array([0.3, 0.7]))
    with pytest.raises(InvalidProblemError):
        encoding.encode(np.array([0.5, 0.0]))


def test_lots_without_a_choice_are_refused() -> None:
    with pytest.raises(InvalidProblemError):
        LotEncoding(base=np.zeros(2), copies=np.array([1, 1]), unit=0.5, lots=2)


def test_entries_outside_the_block_stay() -> None:
    space = _space([0] * 4, [1] * 4)
    held = np.array([0.25, 0.25, 0.25, 0.25])
    encoding = LotEncoding.around(held, 0.1, space, np.array([1, 3]))
    assert encoding is not None
    allocations = _all_allocations(encoding)
    assert (allocations[:, [0, 2]] == 0.25).all()
    assert len(np.unique(allocations[:, 1].round(9))) == 3

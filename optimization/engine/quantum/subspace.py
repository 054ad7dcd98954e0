"""The bitstrings of one Hamming weight: the only part of the state space that a circuit visits."""

from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.encoding import BitArray, IntArray

ComplexArray = npt.NDArray[np.complex128]

MAX_QUBITS = 20
"""Limit of the simulator: 184,756 amplitudes at weight 10, about 0.1 s a gradient."""


def weight_states(qubits: int, weight: int) -> IntArray:
    """All integers of ``qubits`` bits with ``weight`` ones, ascending, shape (C(qubits, weight),).

    Built bit by bit (Pascal's rule), so that the cost follows the result and not 2^qubits.
    """
    rows: list[IntArray] = [np.zeros(1, dtype=np.int64)]
    for bit in range(qubits):
        empty = np.zeros(0, dtype=np.int64)
        with_bit = [empty, *(row | (1 << bit) for row in rows)]
        without = [*rows, empty]
        rows = [np.concatenate(pair) for pair in zip(without, with_bit, strict=True)]
        rows = rows[: weight + 1]
    return rows[weight]


class Subspace:
    """Basis states of ``qubits`` qubits with ``weight`` ones; qubit 0 is the most significant bit.

    Attributes:
        qubits: Number of qubits.
        weight: Number of set qubits.
        states: The basis states as integers, ascending, shape (N,).
    """

    def __init__(self, qubits: int, weight: int) -> None:
        self.qubits = qubits
        self.weight = weight
        self.states = weight_states(qubits, weight)
        self._pairs: dict[tuple[int, int], IntArray] = {}

    @property
    def size(self) -> int:
        """Dimension N."""
        return int(self.states.size)

    @cached_property
    def bits(self) -> BitArray:
        """The basis states as bits, shape (N, qubits)."""
        shifts = np.arange(self.qubits - 1, -1, -1)
        return np.asarray((self.states[:, None] >> shifts) & 1, dtype=np.int8)

    def mask(self, qubit: int) -> int:
        """The integer whose only set bit is ``qubit``."""
        return 1 << (self.qubits - 1 - qubit)

    def index(self, states: IntArray) -> IntArray:
        """Positions of basis states that are known to lie in the subspace."""
        return np.searchsorted(self.states, states)

    def pairs(self, first: int, second: int) -> IntArray:
        """Shape (2, M): positions with (first, second) = (0, 1), and their partners with (1, 0)."""
        key = (first, second)
        if key not in self._pairs:
            held = self.bits
            here = np.flatnonzero((held[:, first] == 0) & (held[:, second] == 1))
            swap = self.mask(first) | self.mask(second)
            self._pairs[key] = np.stack([here, self.index(self.states[here] ^ swap)])
        return self._pairs[key]

    def uniform(self) -> FloatArray:
        """The Dicke state: equal real amplitudes, shape (N,)."""
        return np.full(self.size, self.size**-0.5)


@lru_cache(maxsize=64)
def subspace(qubits: int, weight: int) -> Subspace:
    """The subspace of that size; the 64 last used are kept, with their index tables."""
    return Subspace(qubits, weight)

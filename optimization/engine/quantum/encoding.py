"""Portfolios as lots on qubits: the one place where weights become bits and bits weights."""

from dataclasses import dataclass
from math import comb
from typing import Self

import numpy as np
import numpy.typing as npt

from optimization.engine.errors import InvalidProblemError
from optimization.engine.problem import FloatArray
from optimization.engine.quantum.space import AllocationSpace

IntArray = npt.NDArray[np.int64]
BitArray = npt.NDArray[np.int8]

GRID_TOLERANCE = 1e-12
"""How far, in lots, a bound or budget may lie from the grid and still count as on it."""

ENCODE_TOLERANCE = 1e-6
"""The same for an allocation to encode, which has gone through arithmetic."""

COPIES = 2
"""Qubits per entry in a refinement round: enough for one lot down, none, or one up."""


@dataclass(frozen=True, slots=True)
class LotEncoding:
    """x_i = base_i + unit · k_i, where k_i counts the set qubits among asset i's copies.

    Exactly ``lots`` qubits are set, so Σx is the same for every bitstring of that weight, and the
    number of copies caps each entry: budget and bounds hold without a penalty term.

    Attributes:
        base: Shape (m,), the allocation with no lot at all.
        copies: Shape (m,), qubits of each entry.
        unit: Fraction of capital that one lot is worth.
        lots: Number K of set qubits.
    """

    base: FloatArray
    copies: IntArray
    unit: float
    lots: int

    def __post_init__(self) -> None:
        if self.base.shape != self.copies.shape or self.copies.min() < 0:
            raise InvalidProblemError("base and copies need one entry per asset")
        if not 0 < self.lots < self.qubits or self.unit <= 0:
            raise InvalidProblemError(
                f"{self.lots} lots of {self.unit:g} on {self.qubits} qubits leave no choice"
            )

    @property
    def qubits(self) -> int:
        """Number of qubits."""
        return int(self.copies.sum())

    @property
    def owner(self) -> IntArray:
        """Shape (qubits,): which entry each qubit belongs to."""
        return np.repeat(np.arange(self.copies.size), self.copies)

    @property
    def feasible_states(self) -> int:
        """Number of bitstrings with ``lots`` set qubits."""
        return comb(self.qubits, self.lots)

    def counts(self, bits: BitArray) -> IntArray:
        """Lots of each entry, shape (..., m), for bits of shape (..., qubits)."""
        indicator = np.equal.outer(self.owner, np.arange(self.copies.size))
        return np.asarray(bits.astype(np.int64) @ indicator.astype(np.int64))

    def decode(self, bits: BitArray) -> FloatArray:
        """Allocations, shape (..., m), for bits of shape (..., qubits)."""
        return self.decode_counts(self.counts(bits))

    def decode_counts(self, counts: IntArray) -> FloatArray:
        """Allocations, shape (..., m), for lots per entry of shape (..., m)."""
        return np.asarray(self.base + self.unit * counts)

    def encode(self, allocation: FloatArray) -> BitArray:
        """One bitstring of an allocation on the grid, shape (qubits,): the first copies are set.

        Raises:
            InvalidProblemError: The allocation is not on the grid.
        """
        exact = (allocation - self.base) / self.unit
        counts = np.rint(exact).astype(np.int64)
        off_grid = np.abs(exact - counts).max() > ENCODE_TOLERANCE
        if off_grid or (counts < 0).any() or (counts > self.copies).any():
            raise InvalidProblemError("the allocation is not on the grid of lots")
        if int(counts.sum()) != self.lots:
            raise InvalidProblemError(f"the allocation does not hold exactly {self.lots} lots")
        first = np.cumsum(self.copies) - self.copies
        position = np.arange(self.qubits) - first[self.owner]
        return np.asarray(position < counts[self.owner], dtype=np.int8)

    @classmethod
    def lattice(cls, space: AllocationSpace, qubits: int, states: int) -> Self | None:
        """The coarsest grid from the lower bounds that reaches both bounds of every asset.

        None if no grid with at most ``qubits`` qubits and ``states`` feasible bitstrings does.
        """
        room = space.upper - space.lower
        spare = 1.0 - float(space.lower.sum())
        widest = float(room[: space.n_assets].max())
        if widest <= GRID_TOLERANCE or spare <= GRID_TOLERANCE:
            return None
        for divisor in range(COPIES, qubits + 1):
            unit = widest / divisor
            lots = round(spare / unit)
            copies = np.minimum(np.floor(room / unit + GRID_TOLERANCE), lots).astype(np.int64)
            total = int(copies.sum())
            if total > qubits:
                return None
            reached = np.abs(room / unit - np.rint(room / unit)) <= GRID_TOLERANCE
            exact = abs(lots * unit - spare) <= GRID_TOLERANCE * unit and bool(reached.all())
            if exact and 0 < lots < total and comb(total, lots) <= states:
                return cls(base=space.lower.copy(), copies=copies, unit=unit, lots=lots)
        return None

    @classmethod
    def around(
        cls, allocation: FloatArray, unit: float, space: AllocationSpace, block: IntArray
    ) -> Self | None:
        """Moves of one lot (two for an entry at its lower bound) from a feasible allocation.

        Only the entries of ``block`` may move. None if no two of them can trade a lot.
        """
        slack = GRID_TOLERANCE * unit
        moving = np.zeros(allocation.size, dtype=bool)
        moving[block] = True
        down = moving & (allocation - unit >= space.lower - slack)
        base = np.where(down, np.maximum(allocation - unit, space.lower), allocation)
        room = np.floor((space.upper - base) / unit + GRID_TOLERANCE).astype(np.int64)
        copies = np.where(moving, np.clip(room, 0, COPIES), 0)
        lots, total = int(down.sum()), int(copies.sum())
        if not 0 < lots < total:
            return None
        return cls(base=base, copies=copies, unit=unit, lots=lots)

"""Which lots on which assets a circuit searches next: coarse first, finer around the incumbent."""

from dataclasses import dataclass

import numpy as np

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.encoding import COPIES, IntArray, LotEncoding
from optimization.engine.quantum.landscape import Valuation

LATTICE_STATES = 5000
"""Largest feasible set of the first grid; a larger one starts from the centre instead."""

FINEST_UNIT = 1e-4
"""A lot of 0.01 % of capital is the finest; trading lots are coarser."""

_TOUCHING = 1e-9
"""A bound nearer than this is reached."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The best allocation so far.

    Attributes:
        allocation: Shape (m,), cash included.
        cost: True cost per period.
    """

    allocation: FloatArray
    cost: float


class Schedule:
    """The sequence of encodings of one solve.

    With more assets than the qubits allow, each circuit moves only a block of them and the others
    stay at the incumbent: half the block are the assets whose next lot pays most, bought or sold,
    the other half is drawn. The unit shrinks once ``patience`` blocks in a row found nothing.

    Args:
        valuation: The costs, and the space they are defined on.
        qubits: Largest number of qubits of one circuit.
        rng: Draws the blocks.
    """

    def __init__(self, valuation: Valuation, qubits: int, rng: np.random.Generator) -> None:
        self._valuation = valuation
        self._space = valuation.space
        self._qubits = qubits
        self._rng = rng
        free = self._space.upper - self._space.lower > _TOUCHING
        self._free = np.flatnonzero(free)
        self.block_size = min(qubits // COPIES, int(self._free.size))
        self.blocks = self.block_size < self._free.size
        self._patience = -(-2 * self._free.size // self.block_size) if self.blocks else 1
        self._failures = 0
        self.unit = float((self._space.upper - self._space.lower).max()) / COPIES
        centre = self._space.centre()
        self.start = Incumbent(centre, float(valuation.costs(centre[None])[0]))

    def first(self) -> LotEncoding | None:
        """A grid over the whole space, or None if it does not fit."""
        lattice = LotEncoding.lattice(self._space, self._qubits, LATTICE_STATES)
        if lattice is not None:
            self.unit = lattice.unit
        return lattice

    def following(self, incumbent: Incumbent) -> LotEncoding | None:
        """Lots around the incumbent, or None when the finest unit has nothing left."""
        while self.unit >= FINEST_UNIT:
            block = self._block(incumbent) if self.blocks else self._free
            encoding = LotEncoding.around(incumbent.allocation, self.unit, self._space, block)
            if encoding is not None:
                return encoding
            self.record(incumbent, improved=False)
        return None

    def record(self, incumbent: Incumbent, *, improved: bool) -> None:
        """Take note of a round: a unit is used as long as it improves the incumbent."""
        self._failures = 0 if improved else self._failures + 1
        if self._failures >= self._patience:
            self._failures = 0
            self.unit = self._finer(incumbent.allocation)

    def narrowing(self) -> dict[str, object]:
        """How the choice of assets was narrowed, if the qubits did not hold all of them."""
        entries = int(self._free.size)
        if not self.blocks:
            return {}
        return {
            "narrowed_from": entries,
            "narrowed_to": self.block_size,
            "narrowing": (
                f"each circuit moves {self.block_size} of {entries} assets (cash counts as one)"
                " and leaves the others at the best portfolio so far: half of them are those whose"
                " next lot, bought or sold, pays most, the others are drawn"
            ),
        }

    def _finer(self, allocation: FloatArray) -> float:
        """Half the unit, or the distance to a bound that lies between the half and the whole.

        So a bound that is no multiple of any unit is still reached exactly.
        """
        space = self._space
        distances = np.concatenate([space.upper - allocation, allocation - space.lower])
        within = distances[
            (distances > self.unit / 2 + _TOUCHING) & (distances < self.unit - _TOUCHING)
        ]
        return float(within.max()) if within.size else self.unit / 2

    def _block(self, incumbent: Incumbent) -> IntArray:
        """The entries that the next circuit may move."""
        allocation, unit = incumbent.allocation, self.unit
        steps = unit * np.eye(allocation.size)[self._free]
        lower, upper = self._space.lower[self._free], self._space.upper[self._free]
        held = allocation[self._free]
        base = incumbent.cost
        buying = self._valuation.costs(allocation + steps) - base
        selling = self._valuation.costs(allocation - steps) - base
        buying = np.where(held + unit <= upper + _TOUCHING, buying, np.inf)
        selling = np.where(held - unit >= lower - _TOUCHING, selling, np.inf)
        quarter = max(self.block_size // 4, 1)
        chosen = list(
            dict.fromkeys([*np.argsort(buying)[:quarter], *np.argsort(selling)[:quarter]])
        )
        rest = np.setdiff1d(np.arange(self._free.size), chosen)
        drawn = self._rng.permutation(rest)[: self.block_size - len(chosen)]
        return np.sort(self._free[np.concatenate([chosen, drawn]).astype(np.int64)])

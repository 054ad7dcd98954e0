"""The ring of XY interactions, applied to whole bricks of disjoint pairs at a time.

IsingXY(β) turns the amplitudes of 01 and 10 by [[c, is], [is, c]], c = cos β/2, s = sin β/2.
In the gauge φ(x) = i^(−Σ j·x_j) ψ(x), moving an excitation one site along the ring costs a factor
i, so that the rotation becomes the real [[c, −s], [s, c]]: half the arithmetic. Within a brick the
states fall into groups of 2^m amplitudes that mix by the m-fold tensor power of that rotation, so a
brick is a permutation and a few dense products instead of a pass per pair.
``ring_circuit.py`` runs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import numpy.typing as npt

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.encoding import IntArray
from optimization.engine.quantum.subspace import ComplexArray, Subspace

Edge = tuple[int, int]
AnyArray = npt.NDArray[np.float64] | npt.NDArray[np.complex128]

DIRECT = 4
"""Pairs whose tensor power is applied as one matrix; larger groups are split in two factors."""


def ring_bricks(qubits: int) -> list[list[Edge]]:
    """The edges of the ring in layers of disjoint pairs: even, odd, and the closing edge if odd."""
    if qubits == 2:
        return [[(0, 1)]]
    even = [(i, i + 1) for i in range(0, qubits - 1, 2)]
    odd = [(i, i + 1) for i in range(1, qubits - 1, 2)]
    closing = (qubits - 1, 0)
    return [even, [*odd, closing]] if qubits % 2 == 0 else [even, odd, [closing]]


@dataclass(frozen=True, slots=True)
class Group:
    """States of a brick with ``pairs`` half-filled pairs, laid out (2^pairs, columns)."""

    pairs: int
    start: int
    stop: int

    @property
    def factors(self) -> tuple[int, ...]:
        """Pairs of each tensor factor that the group is treated in; none if nothing mixes."""
        if self.pairs == 0:
            return ()
        if self.pairs <= DIRECT:
            return (self.pairs,)
        return self.pairs // 2, self.pairs - self.pairs // 2


class TensorPowers:
    """rotation^⊗m for m = 1 … largest, of rotations [[c, us], [vs, c]] by some angles.

    An entry that changes h of the m pairs is c^(m−h) s^h times a product of u and v, so that all of
    them are one look-up in a table of the powers of c and s.

    Args:
        generator: [[0, u], [v, 0]].
        shape: Shape of the array of angles.
        largest: Most pairs.

    Attributes:
        matrices: By m, shape (…, 2^m, 2^m); they hold what :meth:`turn` was last called with.
    """

    def __init__(self, generator: AnyArray, shape: tuple[int, ...], largest: int) -> None:
        self._degrees = np.arange(largest + 1)
        unit = generator.copy()
        np.fill_diagonal(unit, 1.0)
        units = _kron_powers(unit, largest)
        changes = _kron_sums(np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((2, 2)), largest)
        # The table's rows are powers of c, its columns powers of s.
        places = [m * (largest + 1) - largest * changes[m] for m in range(1, largest + 1)]
        self._places = np.concatenate([place.reshape(-1) for place in places]).astype(np.int64)
        self._units = np.concatenate([unit.reshape(-1) for unit in units[1:]])
        self._entries: AnyArray = np.empty((prod(shape), self._units.size), self._units.dtype)
        self.matrices: dict[int, AnyArray] = {}
        start = 0
        for m in range(1, largest + 1):
            stop = start + 4**m
            self.matrices[m] = self._entries[:, start:stop].reshape(*shape, 2**m, 2**m)
            start = stop

    def turn(self, angles: FloatArray) -> None:
        """Set the angles, of the shape that was announced."""
        half = angles.reshape(-1, 1) / 2
        cosines, sines = np.cos(half) ** self._degrees, np.sin(half) ** self._degrees
        table = (cosines[:, :, None] * sines[:, None, :]).reshape(len(half), -1)
        np.multiply(table.take(self._places, axis=1), self._units, out=self._entries)


def _kron_powers(matrix: AnyArray, largest: int) -> list[AnyArray]:
    """matrix^⊗m for m = 0 … largest."""
    powers: list[AnyArray] = [np.ones((1, 1))]
    for m in range(largest):
        powers.append(np.asarray(np.kron(powers[m], matrix)))
    return powers


def _kron_sums(matrix: AnyArray, other: FloatArray, largest: int) -> list[AnyArray]:
    """Σ_k other ⊗ … matrix … ⊗ other, with the matrix at place k, for m = 0 … largest factors."""
    sums: list[AnyArray] = [np.zeros((1, 1))]
    others = _kron_powers(other, largest)
    for m in range(largest):
        sums.append(np.asarray(np.kron(sums[m], other) + np.kron(others[m], matrix)))
    return sums


class Brick:
    """IsingXY with one angle on disjoint pairs of qubits, in the gauge of the module's docstring.

    Attributes:
        order: Shape (N,): position in the subspace of each amplitude of this brick's layout.
        groups: The groups of that layout.
        generator: What the rotation of a pair is generated by, shape (2, 2).
        sums: Its sum over m pairs, by m.
        largest: Most pairs whose tensor power is needed as one matrix.
    """

    def __init__(self, subspace: Subspace, edges: Sequence[Edge]) -> None:
        step = (edges[0][1] - edges[0][0]) % 4
        if step % 2 == 1:
            # Each pair is oriented so that going from its first to its second qubit costs +i.
            edges = [(i, j) if (j - i) % 4 == 1 else (j, i) for i, j in edges]
            self.generator: AnyArray = np.array([[0.0, -1.0], [1.0, 0.0]])
        else:
            sign = 1.0 if step == 0 else -1.0
            self.generator = sign * np.array([[0.0, 1.0j], [1.0j, 0.0]])
        bits, states = subspace.bits, subspace.states
        canonical, config = states.copy(), np.zeros(states.size, dtype=np.int64)
        held = np.zeros(states.size, dtype=np.int64)
        for first, second in edges:
            single = bits[:, first] != bits[:, second]
            moved = single & (bits[:, second] == 1)
            config += np.where(moved, 1 << held, 0)
            canonical ^= np.where(moved, subspace.mask(first) | subspace.mask(second), 0)
            held += single
        self.groups: list[Group] = []
        order: list[IntArray] = []
        start = 0
        for m in np.unique(held):
            members = np.flatnonzero(held == m)
            blocks, column = np.unique(canonical[members], return_inverse=True)
            arranged = np.empty(members.size, dtype=np.int64)
            arranged[config[members] * blocks.size + column] = members
            order.append(arranged)
            self.groups.append(Group(int(m), start, start + members.size))
            start += members.size
        self.order = np.concatenate(order)
        self.largest = max((k for group in self.groups for k in group.factors), default=1)
        self.sums = _kron_sums(self.generator, np.eye(2), self.largest)

    @property
    def scale(self) -> int:
        """Numbers per amplitude: two floats where the rotation is real, one complex otherwise."""
        return 2 if self.generator.dtype == np.float64 else 1

    def part(self, amplitudes: ComplexArray, group: Group) -> AnyArray:
        """A view of one group, shape (2^m, columns), of amplitudes of shape (N,)."""
        flat: AnyArray = amplitudes.view(np.float64) if self.scale == 2 else amplitudes
        columns = flat[self.scale * group.start : self.scale * group.stop]
        return columns.reshape(2**group.pairs, -1)


class RingMixer:
    """The ring on one subspace, between amplitudes in the layout of its first brick.

    Attributes:
        bricks: Its layers of disjoint pairs.
        home: Shape (N,): position in the subspace of each amplitude of the working layout.
        gauge: Shape (N,): i^(−Σ j·x_j) in the working layout.
        moves: For each brick the permutation from its layout to the next one's.
        undo: Their inverses.
    """

    def __init__(self, subspace: Subspace) -> None:
        self.bricks = [Brick(subspace, edges) for edges in ring_bricks(subspace.qubits)]
        self.home = self.bricks[0].order
        places = (subspace.bits[self.home] @ np.arange(subspace.qubits)) % 4
        self.gauge = np.array([1, -1j, -1, 1j])[places]
        size = subspace.size
        position = np.empty(size, dtype=np.int64)
        self.moves: list[IntArray] = []
        orders = [brick.order for brick in self.bricks]
        for here, there in zip(orders, [*orders[1:], orders[0]], strict=True):
            position[here] = np.arange(size)
            self.moves.append(position[there])
        self.undo = [np.argsort(move) for move in self.moves]

    @property
    def kinds(self) -> list[slice]:
        """Which bricks turn by the same kind of rotation: even and odd ones, then a closing one."""
        return [slice(0, 2), slice(2, 3)] if len(self.bricks) > 2 else [slice(0, len(self.bricks))]

    def powers(self, layers: int) -> list[TensorPowers]:
        """Room for the tensor powers of each kind, angles of shape (bricks of the kind, layers)."""
        room = []
        for kind in self.kinds:
            bricks = self.bricks[kind]
            largest = max(brick.largest for brick in bricks)
            room.append(TensorPowers(bricks[0].generator, (len(bricks), layers), largest))
        return room


@lru_cache(maxsize=32)
def ring_mixer(subspace: Subspace) -> RingMixer:
    """The mixer of a subspace, with its permutations; the 32 last used are kept."""
    return RingMixer(subspace)

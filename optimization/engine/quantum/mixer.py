"""The ring of XY interactions, applied to whole bricks of disjoint pairs at a time.

IsingXY(β) turns the amplitudes of 01 and 10 by [[c, is], [is, c]], c = cos β/2, s = sin β/2.
In the gauge φ(x) = i^(−Σ j·x_j) ψ(x), moving an excitation one site along the ring costs a factor
i, so that the rotation becomes the real [[c, −s], [s, c]]: half the arithmetic. Within a brick the
states fall into groups of 2^m amplitudes that mix by the m-fold tensor power of that rotation, so a
brick is a permutation and a few dense products instead of a pass per pair.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

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


def ring_edges(qubits: int) -> list[Edge]:
    """The edges of the ring in the order in which the mixer applies them."""
    return [edge for brick in ring_bricks(qubits) for edge in brick]


@dataclass(frozen=True, slots=True)
class Group:
    """States of a brick with ``pairs`` half-filled pairs, laid out (2^pairs, columns)."""

    pairs: int
    start: int
    stop: int


def _tensor_powers(rotation: AnyArray, largest: int) -> list[AnyArray]:
    """rotation^⊗m for m = 0 … largest."""
    powers: list[AnyArray] = [np.ones((1, 1))]
    for m in range(largest):
        size = 2 ** (m + 1)
        outer = powers[m][:, None, :, None] * rotation[None, :, None, :]
        powers.append(outer.reshape(size, size))
    return powers


def _kron_sums(generator: AnyArray, largest: int) -> list[AnyArray]:
    """Σ_k 1 ⊗ … generator … ⊗ 1 for m = 0 … largest factors."""
    sums: list[AnyArray] = [np.zeros((1, 1))]
    for m in range(largest):
        sums.append(np.kron(sums[m], np.eye(2)) + np.kron(np.eye(2**m), generator))
    return sums


def _split(pairs: int) -> tuple[int, int]:
    return pairs // 2, pairs - pairs // 2


class Brick:
    """IsingXY with one angle on disjoint pairs of qubits, in the gauge of the module's docstring.

    Attributes:
        order: Shape (N,): position in the subspace of each amplitude of this brick's layout.
    """

    def __init__(self, subspace: Subspace, edges: list[Edge]) -> None:
        n = subspace.qubits
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
        largest = min(max(g.pairs for g in self.groups), n)
        self.largest = max(DIRECT, *_split(largest)) if largest > DIRECT else largest
        self._sums = _kron_sums(self.generator, self.largest)

    def rotations(self, angle: float) -> list[AnyArray]:
        """Tensor powers of the pair's rotation by ``angle``, for :meth:`apply`."""
        half = angle / 2
        rotation = np.cos(half) * np.eye(2) + np.sin(half) * self.generator
        return _tensor_powers(rotation, self.largest)

    def _parts(self, amplitudes: ComplexArray, group: Group) -> AnyArray:
        """One group's columns, shape (states, 2^m, columns), as floats where R is real."""
        flat: AnyArray = amplitudes
        scale = 1
        if self.generator.dtype == np.float64:
            flat, scale = amplitudes.view(np.float64), 2
        part = flat[:, scale * group.start : scale * group.stop]
        return part.reshape(amplitudes.shape[0], 2**group.pairs, -1)

    def apply(self, rotations: list[AnyArray], source: ComplexArray, out: ComplexArray) -> None:
        """Rotate states in this brick's layout, shape (states, N), from ``source`` into ``out``."""
        for group in self.groups:
            x, y = self._parts(source, group), self._parts(out, group)
            m = group.pairs
            if m == 0:
                y[...] = x
            elif m <= DIRECT:
                np.matmul(rotations[m], x, out=y)
            else:
                a, c = _split(m)
                shape = (x.shape[0], 2**a, 2**c, -1)
                half = np.matmul(rotations[a], x.reshape(x.shape[0], 2**a, -1))
                np.matmul(rotations[c], half.reshape(shape), out=y.reshape(shape))

    def derivative(self, bra: ComplexArray, ket: ComplexArray) -> float:
        """Re⟨bra| Σ generators |ket⟩, both of shape (1, N) in this brick's layout."""
        total = 0.0
        for group in self.groups:
            m = group.pairs
            if m == 0:
                continue
            x, y = self._parts(bra, group)[0].conj(), self._parts(ket, group)[0]
            if m <= DIRECT:
                total += float(np.vdot(self._sums[m].conj(), x @ y.T).real)
                continue
            a, c = _split(m)
            outer = x.reshape(2**a, -1) @ y.reshape(2**a, -1).T
            inner = np.matmul(
                x.reshape(2**a, 2**c, -1), y.reshape(2**a, 2**c, -1).transpose(0, 2, 1)
            ).sum(axis=0)
            total += float(np.vdot(self._sums[a].conj(), outer).real)
            total += float(np.vdot(self._sums[c].conj(), inner).real)
        return total


class RingMixer:
    """The whole ring on one subspace, between amplitudes in the layout of its first brick.

    Attributes:
        home: Shape (N,): position in the subspace of each amplitude of the working layout.
        gauge: Shape (N,): i^(−Σ j·x_j) in the working layout.
    """

    def __init__(self, subspace: Subspace) -> None:
        self.bricks = [Brick(subspace, edges) for edges in ring_bricks(subspace.qubits)]
        self.home = self.bricks[0].order
        places = (subspace.bits[self.home] @ np.arange(subspace.qubits)) % 4
        self.gauge = np.array([1, -1j, -1, 1j])[places]
        size = subspace.size
        position = np.empty(size, dtype=np.int64)
        self._moves: list[IntArray] = []
        orders = [brick.order for brick in self.bricks]
        for here, there in zip(orders, [*orders[1:], orders[0]], strict=True):
            position[here] = np.arange(size)
            self._moves.append(position[there])
        self._undo = [np.argsort(move) for move in self._moves]

    def _rotations(self, angle: float) -> list[list[AnyArray]]:
        """Tensor powers per brick; bricks with the same generator share them."""
        shared = max(self.bricks[:2], key=lambda brick: brick.largest).rotations(angle)
        return [shared, shared, *(brick.rotations(angle) for brick in self.bricks[2:])]

    def forward(self, angle: float, amplitudes: ComplexArray) -> ComplexArray:
        """The ring by ``angle`` on states of shape (states, N) in the working layout."""
        scratch = np.empty_like(amplitudes)
        rotations = self._rotations(angle)
        for brick, powers, move in zip(self.bricks, rotations, self._moves, strict=False):
            brick.apply(powers, amplitudes, scratch)
            if len(self.bricks) == 1:
                return scratch
            np.take(scratch, move, axis=1, out=amplitudes, mode="clip")
        return amplitudes

    def backward(self, angle: float, pair: ComplexArray) -> tuple[float, ComplexArray]:
        """Undo the ring on (bra, ket), shape (2, N), and give 2 Re⟨bra| ∂ket/∂angle⟩ of it."""
        rotations = self._rotations(-angle)
        slope = 0.0
        current, scratch = pair, np.empty_like(pair)
        for k in range(len(self.bricks) - 1, -1, -1):
            brick = self.bricks[k]
            if len(self.bricks) > 1:
                # The inverse of the move that followed this brick.
                np.take(current, self._undo[k], axis=1, out=scratch, mode="clip")
                current, scratch = scratch, current
            slope += brick.derivative(current[:1], current[1:])
            brick.apply(rotations[k], current, scratch)
            current, scratch = scratch, current
        return slope, current


@lru_cache(maxsize=32)
def ring_mixer(subspace: Subspace) -> RingMixer:
    """The mixer of a subspace, with its permutations; the 32 last used are kept."""
    return RingMixer(subspace)

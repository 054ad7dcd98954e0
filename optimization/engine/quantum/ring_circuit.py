"""Layers of phases and rings on the amplitudes of one subspace, compiled.

At ten qubits a product over the amplitudes takes less time than the call that starts it. So which
arrays each product reads and writes is settled once, and a run replays a list of calls.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.mixer import AnyArray, Brick, RingMixer
from optimization.engine.quantum.subspace import ComplexArray

Program = list[tuple[Callable[..., object], tuple[Any, ...]]]
"""Calls and their arguments, in order."""


def _replay(program: Program) -> None:
    for call, arguments in program:
        call(*arguments)


class RingCircuit:
    """exp(−iγ·phase), then the ring, layer after layer; states in the mixer's layout.

    Each brick of each ring has an angle of its own.

    A run keeps the state at each level of each layer: after the phase, and after each brick.

    Args:
        mixer: The ring.
        phase: Diagonal of the phase separator in the mixer's layout, shape (N,).
        layers: Number of layers.

    Attributes:
        inlet: The state before the first layer, shape (N,): set it, then run.
        phases: exp(−iγ·phase) of each layer, shape (layers, N): set them, then run.
    """

    def __init__(self, mixer: RingMixer, phase: FloatArray, layers: int) -> None:
        self._mixer = mixer
        size, levels = mixer.home.size, len(mixer.bricks) + 1
        self.inlet = np.empty(size, dtype=np.complex128)
        self.phases = np.empty((layers, size), dtype=np.complex128)
        self._powers = mixer.powers(layers)
        self._turns = -2j * phase
        self._state = np.empty(size, dtype=np.complex128)
        self._kets = np.empty((layers, levels, size), dtype=np.complex128)
        self._bras = np.empty((levels, size), dtype=np.complex128)
        # What is constant along a level stays zero.
        self._tangents = np.zeros((levels, size), dtype=np.complex128)
        self._slopes = np.empty((layers, levels, 1, 1), dtype=np.complex128)
        self._forward = [call for layer in range(layers) for call in self._onward(layer)]
        self._backward = [call for layer in reversed(range(layers)) for call in self._back(layer)]

    def run(self, angles: FloatArray) -> ComplexArray:
        """The state after the last ring, shape (N,), for angles of shape (bricks, layers)."""
        for powers, kind in zip(self._powers, self._mixer.kinds, strict=True):
            powers.turn(angles[kind])
        _replay(self._forward)
        return self._state

    def take_back(self, state: ComplexArray) -> None:
        """Undo the circuit of the last run on another final state, shape (N,)."""
        np.conjugate(state, out=self._state)
        _replay(self._backward)

    def slopes(self) -> FloatArray:
        """2 Re⟨bra| ∂ket⟩ by each γ and by the angle of each brick, shape (1 + bricks, layers).

        The ket is the state that was run, the bra the one that was taken back.
        """
        return np.asarray(self._slopes.real[..., 0, 0].T)

    def origin(self) -> ComplexArray:
        """The state that was taken back, as it was before the first layer, shape (N,)."""
        return np.asarray((self._bras[0] * self.phases[0]).conj())

    def _onward(self, layer: int) -> Program:
        kets, entering = self._kets[layer], self._state if layer else self.inlet
        program: Program = [(np.multiply, (entering, self.phases[layer], kets[0]))]
        source = kets[0]
        for k, brick in enumerate(self._mixer.bricks):
            program += _rotate(brick, self._matrices(k, layer), source, kets[k + 1])
            program.append((kets[k + 1].take, (self._mixer.moves[k], None, self._state, "clip")))
            source = self._state
        return program

    def _back(self, layer: int) -> Program:
        """Undo one layer on the conjugate of the bra, level by level, and take the slopes.

        The inverse of a rotation is its conjugate transpose, so the conjugate of a bra goes back by
        the transpose, and by the phases as they are.
        """
        bras, kets, program = self._bras, self._kets[layer], Program()
        for k in reversed(range(len(self._mixer.bricks))):
            brick, out = self._mixer.bricks[k], self._state if k else bras[0]
            program.append((self._state.take, (self._mixer.undo[k], None, bras[k + 1], "clip")))
            inverse = {m: matrix.T for m, matrix in self._matrices(k, layer).items()}
            program += _rotate(brick, inverse, bras[k + 1], out)
            program += _generate(brick, kets[k + 1], self._tangents[k + 1])
        program.append((np.multiply, (self._turns, kets[0], self._tangents[0])))
        columns = bras[:, None, :], self._tangents[:, :, None]
        program.append((np.matmul, (*columns, self._slopes[layer])))
        if layer:
            program.append((np.multiply, (bras[0], self.phases[layer], self._state)))
        return program

    def _matrices(self, brick: int, layer: int) -> dict[int, AnyArray]:
        stacks = self._powers[brick // 2].matrices
        return {m: stack[brick % 2, layer] for m, stack in stacks.items()}


def _rotate(
    brick: Brick, matrices: dict[int, AnyArray], source: ComplexArray, out: ComplexArray
) -> Program:
    """One brick, by the tensor powers in ``matrices``."""
    program: Program = []
    for group in brick.groups:
        x, y = brick.part(source, group), brick.part(out, group)
        match group.factors:
            case ():
                program.append((np.copyto, (y, x)))
            case (m,):
                program.append((np.dot, (matrices[m], x, y)))
            case (a, c):
                half = np.empty_like(x).reshape(2**a, -1)
                inner = (2**a, 2**c, -1)
                program.append((np.dot, (matrices[a], x.reshape(half.shape), half)))
                program.append((np.matmul, (matrices[c], half.reshape(inner), y.reshape(inner))))
    return program


def _generate(brick: Brick, source: ComplexArray, out: ComplexArray) -> Program:
    """The sum of a brick's generators; ``out`` is zero where nothing mixes."""
    program: Program = []
    for group in brick.groups:
        x, y = brick.part(source, group), brick.part(out, group)
        match group.factors:
            case (m,):
                program.append((np.dot, (brick.sums[m], x, y)))
            case (a, c):
                inner = (2**a, 2**c, -1)
                other = np.empty_like(y).reshape(2**a, 2**c, -1)
                program.append((np.dot, (brick.sums[a], x.reshape(2**a, -1), y.reshape(2**a, -1))))
                program.append((np.matmul, (brick.sums[c], x.reshape(inner), other)))
                program.append((np.add, (y, other.reshape(y.shape), y)))
    return program

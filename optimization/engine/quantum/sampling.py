"""Circuits on any PennyLane device by name: shots, exact probabilities, noise by trajectories."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.exceptions import DeviceError, QuantumFunctionError
from pennylane.operation import Operator
from pennylane.tape import QuantumScript

from optimization.engine.errors import InvalidProblemError, UnsupportedProblemError
from optimization.engine.problem import FloatArray
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.circuits import operations
from optimization.engine.quantum.encoding import IntArray
from optimization.engine.quantum.gates import Gate
from optimization.engine.quantum.landscape import Landscape
from optimization.engine.quantum.parameters import QuantumParameters
from optimization.engine.quantum.running import Draw
from optimization.engine.quantum.subspace import Subspace

CircuitOf = Callable[[Landscape, Ansatz, FloatArray], Sequence[Gate]]
"""The gates of an ansatz at some angles."""

_PAULIS = (qml.PauliX, qml.PauliY, qml.PauliZ)


class DeviceSampler:
    """Draws bitstrings from a PennyLane device and keeps the feasible ones.

    Args:
        settings: Device, shots and noise.
        circuit: Builds the gates.
        rng: Seeds the device and draws the errors.

    Raises:
        InvalidProblemError: No such device is installed.
    """

    def __init__(
        self, settings: QuantumParameters, circuit: CircuitOf, rng: np.random.Generator
    ) -> None:
        self._settings = settings
        self._circuit = circuit
        self._rng = rng
        self._devices: dict[int, Any] = {}
        self._device(2)

    def __call__(self, ansatz: Ansatz, landscape: Landscape, angles: FloatArray) -> Draw:
        """Run the circuit once, or once per trajectory with noise.

        Raises:
            UnsupportedProblemError: The device cannot run it.
        """
        feasible = landscape.subspace
        plain = operations(self._circuit(landscape, ansatz, angles), range(feasible.qubits))
        try:
            if self._settings.shots is None:
                return self._exact(plain, feasible)
            return self._shots(plain, feasible)
        except (DeviceError, QuantumFunctionError, NotImplementedError) as error:
            raise UnsupportedProblemError(
                f"device {self._settings.device} cannot run the circuit: {error}",
                ["parameters.device"],
            ) from error

    def _device(self, qubits: int) -> Any:
        if qubits not in self._devices:
            self._devices[qubits] = open_device(
                self._settings.device, qubits, int(self._rng.integers(2**31))
            )
        return self._devices[qubits]

    def _exact(self, plain: list[Operator], feasible: Subspace) -> Draw:
        """Exact probabilities, averaged over the trajectories."""
        wires = range(feasible.qubits)
        tapes = [QuantumScript(run, [qml.probs(wires=wires)]) for run in self._runs(plain)]
        results = qml.execute(tapes, self._device(feasible.qubits))
        inside = np.mean([np.asarray(each)[feasible.states] for each in results], axis=0)
        p_feasible = float(inside.sum())
        if p_feasible <= 0:
            return Draw(np.zeros(feasible.size, dtype=np.int64), inside, 0.0)
        frequencies = inside / p_feasible
        kept = self._rng.binomial(self._settings.shots_drawn, min(p_feasible, 1.0))
        return Draw(self._rng.multinomial(kept, frequencies), frequencies, min(p_feasible, 1.0))

    def _shots(self, plain: list[Operator], feasible: Subspace) -> Draw:
        wires, runs = range(feasible.qubits), self._runs(plain)
        shares = np.full(len(runs), self._settings.shots_drawn // len(runs))
        shares[: self._settings.shots_drawn % len(runs)] += 1
        tapes = [
            QuantumScript(run, [qml.counts(wires=wires)], shots=int(share))
            for run, share in zip(runs, shares, strict=True)
            if share
        ]
        results = qml.execute(tapes, self._device(feasible.qubits))
        return post_select(results, feasible)

    def _runs(self, plain: list[Operator]) -> list[list[Operator]]:
        if not self._settings.noise:
            return [plain]
        count = min(self._settings.trajectories, self._settings.shots_drawn)
        return [self._noisy(plain) for _ in range(count)]

    def _noisy(self, plain: list[Operator]) -> list[Operator]:
        """One trajectory: after a two-qubit gate each of its qubits may suffer a Pauli error."""
        run: list[Operator] = []
        for operation in plain:
            run.append(operation)
            if len(operation.wires) != 2:
                continue
            hit = self._rng.random(2) < self._settings.noise
            kinds = self._rng.integers(len(_PAULIS), size=2)
            run += [
                _PAULIS[kind](wire)
                for wire, kind, error in zip(operation.wires, kinds, hit, strict=True)
                if error
            ]
        return run


def post_select(results: Sequence[Any], feasible: Subspace) -> Draw:
    """Counts of several circuits together, without the bitstrings of another weight."""
    counts: IntArray = np.zeros(feasible.size, dtype=np.int64)
    total = 0
    for result in results:
        states = np.array([int(str(key), 2) for key in result], dtype=np.int64)
        seen = np.array([int(value) for value in result.values()], dtype=np.int64)
        place = np.minimum(feasible.index(states), feasible.size - 1)
        inside = feasible.states[place] == states
        np.add.at(counts, place[inside], seen[inside])
        total += int(seen.sum())
    kept = int(counts.sum())
    frequencies = counts / kept if kept else np.zeros(feasible.size)
    return Draw(counts, frequencies, kept / total)


@lru_cache(maxsize=32)
def _takes_seed(name: str) -> bool:
    """Whether the device's constructor accepts a seed; those that do not cannot repeat shots."""
    try:
        qml.device(name, wires=1, seed=0)
    except (TypeError, DeviceError):
        return False
    return True


def open_device(name: str, qubits: int, seed: int) -> Any:
    """A PennyLane device.

    Raises:
        InvalidProblemError: It is not installed, or cannot be opened without credentials.
    """
    try:
        if _takes_seed(name):
            return qml.device(name, wires=qubits, seed=seed)
        return qml.device(name, wires=qubits)
    except (DeviceError, ImportError, TypeError, ValueError) as error:
        raise InvalidProblemError(
            f"parameters.device is {name!r}, which cannot be opened here ({error}); use"
            " 'subspace' or an installed PennyLane device such as 'lightning.qubit'",
            ["parameters.device"],
        ) from error

"""A PennyLane device that simulates only the bitstrings of one Hamming weight."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pennylane.devices import Device, ExecutionConfig
from pennylane.devices.modifiers import simulator_tracking, single_tape_support
from pennylane.devices.preprocess import (
    decompose,
    validate_device_wires,
    validate_measurements,
)
from pennylane.exceptions import DeviceError
from pennylane.measurements import (
    CountsMP,
    ExpectationMP,
    MeasurementProcess,
    ProbabilityMP,
    SampleMP,
    StateMP,
)
from pennylane.operation import Operator
from pennylane.tape import QuantumScript
from pennylane.transforms import broadcast_expand
from pennylane.transforms.core import CompilePipeline
from pennylane.wires import Wires

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.encoding import IntArray
from optimization.engine.quantum.steps import STEPS, Step, diagonal_values, initial_amplitudes
from optimization.engine.quantum.subspace import ComplexArray, subspace

_PREPARATIONS = ("DickeState", "StatePrep", "BasisState")


def _supported(operation: Operator) -> bool:
    return operation.name in STEPS or operation.name in _PREPARATIONS


def _analytic(measurement: MeasurementProcess) -> bool:
    if isinstance(measurement, ExpectationMP):
        return _is_diagonal(measurement.obs)
    return isinstance(measurement, StateMP) or (
        isinstance(measurement, ProbabilityMP) and measurement.obs is None
    )


def _sampled(measurement: MeasurementProcess) -> bool:
    kinds = (SampleMP, CountsMP, ProbabilityMP, ExpectationMP)
    return isinstance(measurement, kinds) and (
        measurement.obs is None or _is_diagonal(measurement.obs)
    )


def _is_diagonal(observable: Operator) -> bool:
    sentence = observable.pauli_rep
    return sentence is not None and all(set(word.values()) <= {"Z"} for word in sentence)


@simulator_tracking
@single_tape_support
class SubspaceDevice(Device):  # type: ignore[misc]
    """Weight-preserving circuits on C(wires, weight) amplitudes instead of 2^wires.

    A circuit starts with a state of the right weight (``DickeState``, ``StatePrep``,
    ``BasisState``) and goes on with ``PhaseSeparator``, ``XYBrick``, ``IsingXY``,
    ``SingleExcitation``, ``RZ``, ``IsingZZ``, ``MultiRZ`` and ``GlobalPhase``. It is measured in
    the computational basis. ``diff_method="device"`` gives adjoint gradients.

    Args:
        wires: The wires, or how many.
        weight: Number of ones in every bitstring.
        seed: Seed, or generator, of the shots.
    """

    name = "quantumedge.subspace"

    def __init__(self, wires: Any, weight: int, seed: Any = None) -> None:
        super().__init__(wires=wires)
        self.subspace = subspace(len(self.wires), weight)
        self._rng = np.random.default_rng(seed)

    def setup_execution_config(
        self, config: ExecutionConfig | None = None, circuit: QuantumScript | None = None
    ) -> ExecutionConfig:
        """Choose the device's own derivatives where the caller leaves the choice."""
        config = config or ExecutionConfig()
        if not self.supports_derivatives(config, circuit):
            return config
        return replace(
            config,
            gradient_method="device",
            use_device_gradient=True,
            use_device_jacobian_product=True,
            grad_on_execution=False,
        )

    def preprocess_transforms(
        self, execution_config: ExecutionConfig | None = None
    ) -> CompilePipeline:
        """Decompose into the supported operations, and refuse what leaves the subspace."""
        del execution_config
        program = CompilePipeline()
        program.add_transform(validate_device_wires, self.wires, name=self.name)
        program.add_transform(decompose, stopping_condition=_supported, name=self.name)
        program.add_transform(
            validate_measurements,
            analytic_measurements=_analytic,
            sample_measurements=_sampled,
            name=self.name,
        )
        program.add_transform(broadcast_expand)
        return program

    def supports_derivatives(
        self,
        execution_config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,
    ) -> bool:
        """First derivatives of exact expectation values and probabilities."""
        if execution_config is not None:
            if execution_config.gradient_method not in {"device", "best", "adjoint"}:
                return False
            if execution_config.derivative_order != 1:
                return False
        return circuit is None or (
            not circuit.shots
            and all(isinstance(m, ExpectationMP | ProbabilityMP) for m in circuit.measurements)
        )

    def supports_vjp(
        self,
        execution_config: ExecutionConfig | None = None,
        circuit: QuantumScript | None = None,
    ) -> bool:
        """As :meth:`supports_derivatives`."""
        return self.supports_derivatives(execution_config, circuit)

    def execute(
        self, circuits: Sequence[QuantumScript], execution_config: ExecutionConfig | None = None
    ) -> tuple[Any, ...]:
        """Run circuits that :meth:`preprocess_transforms` has been through."""
        del execution_config
        return tuple(self._execute(circuit) for circuit in circuits)

    def compute_derivatives(
        self, circuits: Sequence[QuantumScript], execution_config: ExecutionConfig | None = None
    ) -> tuple[Any, ...]:
        """Jacobians by the adjoint method, one backward pass per measured number."""
        del execution_config
        return tuple(self._jacobian(circuit) for circuit in circuits)

    def compute_vjp(
        self,
        circuits: Sequence[QuantumScript],
        cotangents: Sequence[Any],
        execution_config: ExecutionConfig | None = None,
    ) -> tuple[Any, ...]:
        """Cotangents times Jacobians, one backward pass per circuit."""
        del execution_config
        return tuple(
            self._vjp(circuit, cotangent)
            for circuit, cotangent in zip(circuits, cotangents, strict=True)
        )

    def _steps(self, circuit: QuantumScript) -> tuple[ComplexArray, list[Step]]:
        operations = circuit.operations
        if not operations or operations[0].name not in _PREPARATIONS:
            raise DeviceError(
                f"{self.name} starts from a state of {self.subspace.weight} ones: begin the"
                " circuit with DickeState, StatePrep or BasisState"
            )
        ket = initial_amplitudes(operations[0], self.subspace, self.wires)
        return ket, [self._step(operation) for operation in operations[1:]]

    def _step(self, operation: Operator) -> Step:
        build = STEPS.get(operation.name)
        if build is None:
            raise DeviceError(f"{operation.name} in mid-circuit leaves the subspace")
        return build(operation, self.subspace, _positions(operation.wires, self.wires))

    def _run(self, circuit: QuantumScript) -> tuple[ComplexArray, list[Step]]:
        ket, steps = self._steps(circuit)
        for step in steps:
            ket = step.apply(ket)
        return ket, steps

    def _execute(self, circuit: QuantumScript) -> Any:
        ket, _ = self._run(circuit)
        if circuit.shots:
            return self._sample(circuit, ket)
        results = tuple(self._measure(m, ket) for m in circuit.measurements)
        return results[0] if len(results) == 1 else results

    def _measure(self, measurement: MeasurementProcess, ket: ComplexArray) -> Any:
        if isinstance(measurement, StateMP):
            full = np.zeros(2**self.subspace.qubits, dtype=np.complex128)
            full[self.subspace.states] = ket
            return full
        probabilities = np.abs(ket) ** 2
        if isinstance(measurement, ExpectationMP):
            return probabilities @ diagonal_values(measurement.obs, self.subspace, self.wires)
        outcome, size = self._outcomes(measurement)
        return np.bincount(outcome, weights=probabilities, minlength=size)

    def _outcomes(self, measurement: MeasurementProcess) -> tuple[IntArray, int]:
        """Which outcome of a probability measurement each basis state counts towards."""
        wires = measurement.wires or self.wires
        places = _positions(wires, self.wires)
        powers = 2 ** np.arange(len(places) - 1, -1, -1)
        return self.subspace.bits[:, places].astype(np.int64) @ powers, 2 ** len(places)

    def _sample(self, circuit: QuantumScript, ket: ComplexArray) -> Any:
        probabilities = np.abs(ket) ** 2
        total = circuit.shots.total_shots
        drawn = self._rng.choice(ket.size, total, p=probabilities / probabilities.sum())
        samples = self.subspace.bits[drawn].astype(np.int64)
        bins = []
        for low, high in circuit.shots.bins():
            part = tuple(
                m.process_samples(samples[low:high], self.wires) for m in circuit.measurements
            )
            bins.append(part[0] if len(part) == 1 else part)
        return tuple(bins) if circuit.shots.has_partitioned_shots else bins[0]

    def _backward(
        self, circuit: QuantumScript, ket: ComplexArray, steps: list[Step], weights: FloatArray
    ) -> list[float]:
        """Derivative of Σ weights · probabilities by each trainable parameter."""
        bra = weights * ket
        slopes: dict[int, float] = {}
        for position in range(len(steps) - 1, -1, -1):
            slopes[position + 1], bra, ket = steps[position].undo(bra, ket)
        return [slopes[circuit.par_info[k]["op_idx"]] for k in circuit.trainable_params]

    def _weights(self, measurement: MeasurementProcess) -> list[FloatArray]:
        """For each measured number the weights that turn probabilities into it."""
        if isinstance(measurement, ExpectationMP):
            return [diagonal_values(measurement.obs, self.subspace, self.wires)]
        outcome, size = self._outcomes(measurement)
        return [np.asarray(outcome == k, dtype=np.float64) for k in range(size)]

    def _jacobian(self, circuit: QuantumScript) -> Any:
        ket, steps = self._run(circuit)
        results = []
        for measurement in circuit.measurements:
            rows = np.array(
                [self._backward(circuit, ket, steps, w) for w in self._weights(measurement)]
            )
            columns = tuple(rows[0] if isinstance(measurement, ExpectationMP) else rows.T)
            results.append(columns[0] if len(columns) == 1 else columns)
        return results[0] if len(results) == 1 else tuple(results)

    def _vjp(self, circuit: QuantumScript, cotangent: Any) -> Any:
        ket, steps = self._run(circuit)
        single = len(circuit.measurements) == 1
        weights = np.zeros(ket.size)
        for m, part in zip(
            circuit.measurements, (cotangent,) if single else cotangent, strict=True
        ):
            if isinstance(m, ExpectationMP):
                values = diagonal_values(m.obs, self.subspace, self.wires)
                weights = weights + float(np.sum(part)) * values
            else:
                weights = weights + np.asarray(part, dtype=np.float64)[self._outcomes(m)[0]]
        return tuple(self._backward(circuit, ket, steps, weights))


def _positions(wires: Wires, order: Wires) -> list[int]:
    return [int(order.index(wire)) for wire in wires]

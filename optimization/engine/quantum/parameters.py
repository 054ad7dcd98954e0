"""The quantum methods' parameters, read from the request and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Any, Self

from optimization.engine.errors import InvalidProblemError
from optimization.engine.parameters import number, refuse_unknown, whole
from optimization.engine.quantum.subspace import MAX_QUBITS

SUBSPACE_DEVICE = "subspace"
"""Name of our own device: it simulates only the feasible bitstrings."""

FULL_DEVICE = "lightning.qubit"
"""Where noise is simulated unless another device is named: noise leaves the subspace."""

SAMPLES = 1024
"""Bitstrings drawn from exact probabilities at the end of a round."""

SAMPLED_SHARE = 0.2
"""Share of the best samples that angles are optimised for where all there is are samples."""

MAX_AMPLITUDES = 2_000_000
"""Limit of layers times bitstrings: a gradient keeps four arrays of that many, 128 MB together."""

OWN_PARAMETERS = (
    "device",
    "shots",
    "layers",
    "noise",
    "trajectories",
    "qubits",
    "rounds",
    "iterations",
    "alpha",
    "time_limit",
    "target_gap",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a method uses unless the request says otherwise.

    Attributes:
        layers: Layers of its circuit where gradients are exact.
        sampled_layers: The same where there are only samples and angles are dear.
        shares: Shares of the best samples that exact angles are optimised for, one after another.
        iterations: Iterations a round of all shares together.
    """

    layers: int
    sampled_layers: int
    shares: tuple[float, ...]
    iterations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantumParameters:
    """How a circuit is run and how long its angles are searched.

    Attributes:
        device: ``"subspace"`` or the name of any PennyLane device.
        shots: Bitstrings drawn per evaluation, or None for exact probabilities.
        layers: Layers of the circuit.
        noise: Probability of a random Pauli error per qubit and two-qubit gate.
        trajectories: Noisy circuits that the shots are spread over.
        qubits: Largest number of qubits of one circuit.
        rounds: Largest number of refinement rounds.
        iterations: Largest number of optimiser iterations a round.
        shares: Shares of the best samples that the angles are optimised for, one after another;
            the last is the request's ``alpha``.
        time_limit: Seconds after which no further round starts.
        target_gap: Relative gap to the exact optimum at which to stop, or None.
        seed: As given by the caller, for the record.
    """

    device: str
    shots: int | None
    layers: int
    noise: float
    trajectories: int
    qubits: int
    rounds: int
    iterations: int
    shares: tuple[float, ...]
    time_limit: float
    target_gap: float | None
    seed: int | None

    @classmethod
    def of(cls, parameters: Mapping[str, Any], defaults: Defaults) -> Self:
        """The parameters of a request, completed by defaults.

        Args:
            parameters: As on the wire.
            defaults: The method's own.

        Raises:
            InvalidProblemError: A parameter is unknown or has no sensible value.
        """
        refuse_unknown(parameters, OWN_PARAMETERS)
        noise = number(parameters, "noise", 0.0, 0.0, 0.5)
        device = _name(parameters, "device", FULL_DEVICE if noise else SUBSPACE_DEVICE)
        if noise and device == SUBSPACE_DEVICE:
            raise InvalidProblemError(
                f"noise leaves the subspace that parameters.device {device!r} simulates; name a"
                f" device of the full space, e.g. {FULL_DEVICE!r}",
                ["parameters.noise", "parameters.device"],
            )
        exact = device == SUBSPACE_DEVICE and parameters.get("shots") is None
        shots = parameters.get("shots")
        seed = parameters.get("seed")
        qubits = whole(parameters, "qubits", 12, 4, MAX_QUBITS)
        default_layers = defaults.layers if exact or noise else defaults.sampled_layers
        layers = whole(parameters, "layers", default_layers, 1, 50)
        wider = defaults.shares if exact or noise else (SAMPLED_SHARE,)
        alpha = number(parameters, "alpha", wider[-1], 1e-3, 1.0)
        _refuse_too_large(layers, qubits)
        return cls(
            device=device,
            shots=None if shots is None else whole(parameters, "shots", 0, 1, 10_000_000),
            layers=layers,
            noise=noise,
            trajectories=whole(parameters, "trajectories", 50, 1, 1000),
            qubits=qubits,
            rounds=whole(parameters, "rounds", 60 if exact else 5, 1, 1000),
            iterations=whole(
                parameters, "iterations", defaults.iterations if exact else 50, 1, 1_000_000
            ),
            shares=(*(share for share in wider if share > alpha), alpha),
            time_limit=number(parameters, "time_limit", 20.0, 1e-3, 86_400.0),
            target_gap=number(parameters, "target_gap", 0.0, 0.0, 1.0)
            if "target_gap" in parameters
            else None,
            seed=seed if isinstance(seed, int) else None,
        )

    @property
    def shots_drawn(self) -> int:
        """Bitstrings drawn at the end of a round."""
        return SAMPLES if self.shots is None else self.shots

    @property
    def exact(self) -> bool:
        """Whether probabilities and gradients come from the subspace simulator, without shots."""
        return self.device == SUBSPACE_DEVICE and self.shots is None


def _name(parameters: Mapping[str, Any], name: str, default: str) -> str:
    value = parameters.get(name, default)
    if not isinstance(value, str) or not value:
        raise InvalidProblemError(
            f"parameters.{name} is {value!r}; it is a name such as {SUBSPACE_DEVICE!r} or"
            f" {FULL_DEVICE!r}",
            [f"parameters.{name}"],
        )
    return value


def _refuse_too_large(layers: int, qubits: int) -> None:
    states = comb(qubits, qubits // 2)
    if layers * states > MAX_AMPLITUDES:
        raise InvalidProblemError(
            f"{layers} layers on {qubits} qubits need too much memory; with so many qubits"
            f" parameters.layers is at most {MAX_AMPLITUDES // states}",
            ["parameters.layers", "parameters.qubits"],
        )

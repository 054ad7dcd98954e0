"""The circuits themselves: quality of selections, qiskit-finance, and the time of a gradient.

Tables of ``benchmarks/quantum.py``, which says what they show.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp
from qiskit.primitives import StatevectorSampler
from qiskit_finance.applications.optimization import PortfolioOptimization
from qiskit_optimization.algorithms import MinimumEigenOptimizer
from qiskit_optimization.minimum_eigensolvers import QAOA
from qiskit_optimization.optimizers import COBYLA
from scipy.optimize import minimize
from skfolio.datasets import load_sp500_dataset

from optimization.engine.problem import FloatArray
from optimization.engine.quantum.ansatz import Ansatz, GivensAnsatz, RingAnsatz
from optimization.engine.quantum.circuits import (
    DickeState,
    PhaseSeparator,
    XYBrick,
    ring_operations,
)
from optimization.engine.quantum.device import SubspaceDevice
from optimization.engine.quantum.landscape import ConditionalValue, QuadraticForm
from optimization.engine.quantum.subspace import Subspace, subspace

LAYERS = 3
RISK_AVERSION = 2.5
VALUATIONS = 1024

Row = dict[str, Any]


def window(assets: int, seed: int, days: int = 504) -> tuple[FloatArray, tuple[str, ...]]:
    """Real daily returns of some stocks over some two years, chosen by the seed."""
    prices = load_sp500_dataset().loc[:"2019"]
    values = prices.to_numpy()
    returns = values[1:] / values[:-1] - 1.0
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.choice(returns.shape[1], assets, replace=False))
    start = int(rng.integers(0, len(returns) - days))
    chosen = returns[start : start + days, columns]
    return chosen, tuple(prices.columns[columns])


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what it returned."""
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def fastest(run: Callable[[], Any], repeats: int) -> float:
    """Least seconds of some runs."""
    return min(timed(run)[0] for _ in range(repeats))


@dataclass(frozen=True)
class Selection:
    """Half of n assets with equal weights: the usual benchmark problem.

    Attributes:
        basis: The choices, as bitstrings.
        form: λ w'Σw − μ'w in the bits, at zero mean and unit deviation over the choices.
        costs: Its value for each choice, shape (N,).
        mean: Yearly mean returns, shape (n,).
        covariance: Yearly, shape (n, n).
    """

    basis: Subspace
    form: QuadraticForm
    costs: FloatArray
    mean: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, assets: int, seed: int) -> "Selection":
        returns, _ = window(assets, seed)
        mean, covariance = 252 * returns.mean(axis=0), 252 * np.cov(returns.T)
        basis, share = subspace(assets, assets // 2), 2 / assets
        quadratic = RISK_AVERSION * covariance * share**2
        linear = np.diag(quadratic) - mean * share
        raw = QuadraticForm(0.0, linear, np.triu(2 * quadratic, 1)).values(basis.bits)
        centre, scale = float(raw.mean()), float(raw.std())
        form = QuadraticForm(-centre / scale, linear / scale, np.triu(2 * quadratic, 1) / scale)
        return cls(basis, form, (raw - centre) / scale, mean, covariance)

    def ratio(self, cost: float) -> float:
        """1 for the best choice, 0 for the worst."""
        worst, best = float(self.costs.max()), float(self.costs.min())
        return (worst - cost) / (worst - best)


def train(selection: Selection, ansatz: Ansatz, start: FloatArray) -> FloatArray:
    """Probabilities after L-BFGS-B on the plain expectation."""
    aggregate = ConditionalValue(selection.costs, 1.0)
    found = minimize(
        lambda x: ansatz.value_and_gradient(x, aggregate),
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 60},
    )
    return ansatz.probabilities(found.x)


def ring_probabilities(selection: Selection) -> FloatArray:
    """QAOA at p = 3."""
    ansatz = RingAnsatz(selection.basis, selection.costs, LAYERS)
    return train(selection, ansatz, ansatz.initial(np.random.default_rng(0)))


def givens_probabilities(selection: Selection) -> FloatArray:
    """VQE with as many layers as qubits."""
    ansatz = GivensAnsatz(selection.basis, selection.basis.qubits)
    return train(selection, ansatz, ansatz.initial(np.random.default_rng(0)))


def swap_annealing(selection: Selection, rng: np.random.Generator) -> float:
    """Best cost of an annealer that swaps a held asset for another, 1024 valuations."""
    basis = selection.basis
    here = int(rng.integers(basis.size))
    best = selection.costs[here]
    for temperature in np.geomspace(1, 0.02, VALUATIONS - 1):
        bits = basis.bits[here]
        held, free = rng.choice(np.flatnonzero(bits)), rng.choice(np.flatnonzero(bits == 0))
        swap = basis.mask(int(held)) ^ basis.mask(int(free))
        there = int(basis.index(basis.states[[here]] ^ swap)[0])
        rise = selection.costs[there] - selection.costs[here]
        if rise <= 0 or rng.random() < np.exp(-rise / temperature):
            here = there
            best = min(best, selection.costs[here])
    return float(best)


def selections(instances: int) -> Iterator[Row]:
    """Quality of the trained distributions."""
    for assets in (8, 12, 16):
        chosen = [Selection.of(assets, 100 + k) for k in range(instances)]
        for name, run in (("qaoa p=3", ring_probabilities), ("vqe", givens_probabilities)):
            pairs = [timed(partial(run, s)) for s in chosen]
            rows = [_quality(s, p) for s, (_, p) in zip(chosen, pairs, strict=True)]
            ratio = statistics.mean(row["ratio"] for row in rows)
            lift = statistics.mean(row["lift"] for row in rows)
            yield {
                "case": f"{assets // 2} of {assets}",
                "method": name,
                "milliseconds": 1e3 * statistics.median(seconds for seconds, _ in pairs),
                "ratio": ratio,
                "p_opt": statistics.mean(row["p_opt"] for row in rows),
                "lift": lift,
                "best_ratio": statistics.mean(row["best_ratio"] for row in rows),
                "goal": "ratio >= 0.80, lift >= 10",
                "goal_met": ratio >= 0.80 and lift >= 10,
            }
        flat = [_quality(s, np.full(s.basis.size, 1 / s.basis.size)) for s in chosen]
        keys = ("ratio", "p_opt", "lift", "best_ratio")
        means = {key: statistics.mean(row[key] for row in flat) for key in keys}
        yield {"case": f"{assets // 2} of {assets}", "method": "uniform", **means}
        annealed = [s.ratio(swap_annealing(s, np.random.default_rng(1))) for s in chosen]
        best = statistics.mean(annealed)
        yield {"case": f"{assets // 2} of {assets}", "method": "annealing", "best_ratio": best}


def _quality(selection: Selection, probabilities: FloatArray) -> Row:
    optimal = selection.costs <= selection.costs.min() + 1e-9
    p_opt = float(probabilities[optimal].sum())
    drawn = np.random.default_rng(0).multinomial(VALUATIONS, probabilities / probabilities.sum())
    return {
        "ratio": selection.ratio(float(probabilities @ selection.costs)),
        "p_opt": p_opt,
        "lift": p_opt / float(optimal.mean()),
        "best_ratio": selection.ratio(float(selection.costs[drawn > 0].min())),
    }


def against_qiskit(_instances: int) -> Iterator[Row]:
    """qiskit-finance with 3 repetitions and 150 steps of COBYLA, one instance a size."""
    for assets in (6, 8):
        selection = Selection.of(assets, 100)
        held = assets // 2
        program = PortfolioOptimization(
            expected_returns=selection.mean / held,
            covariances=selection.covariance / held**2,
            risk_factor=RISK_AVERSION,
            budget=held,
        ).to_quadratic_program()
        sampler = StatevectorSampler(default_shots=VALUATIONS, seed=0)
        qaoa = QAOA(sampler=sampler, optimizer=COBYLA(maxiter=150), reps=LAYERS)
        theirs, result = timed(partial(MinimumEigenOptimizer(qaoa).solve, program))
        feasible = [s for s in result.samples if round(float(sum(s.x))) == held]
        p_feasible = sum(s.probability for s in feasible)
        bits = np.array([[round(float(bit)) for bit in s.x] for s in feasible])
        costs = selection.form.values(bits) if feasible else np.full(1, selection.costs.max())
        shares = np.array([s.probability for s in feasible]) / max(p_feasible, 1e-12)
        mean = float(shares @ costs) if feasible else float(costs[0])
        case = f"{held} of {assets}"
        yield {
            "case": case,
            "method": "qiskit-finance",
            "milliseconds": 1e3 * theirs,
            "ratio": selection.ratio(mean),
            "p_feasible": p_feasible,
        }
        ring_probabilities(selection)
        ours, probabilities = timed(partial(ring_probabilities, selection))
        quality = _quality(selection, probabilities)
        yield {
            "case": case,
            "method": "qaoa p=3",
            "milliseconds": 1e3 * ours,
            "ratio": quality["ratio"],
            "p_feasible": 1.0,
            "times_faster": theirs / ours,
            "goal": ">= 20x and no worse",
            "goal_met": theirs / ours >= 20 and quality["ratio"] >= selection.ratio(mean),
        }


def gradients(_instances: int) -> Iterator[Row]:
    """One cost with its gradient at p = 3."""
    for qubits in (8, 12, 16, 20):
        selection = Selection.of(qubits, 100)
        ansatz = RingAnsatz(selection.basis, selection.costs, LAYERS)
        aggregate = ConditionalValue(selection.costs, 1.0)
        angles = ansatz.initial(np.random.default_rng(0))
        repeats = 3 if qubits == 20 else 50
        ansatz.value_and_gradient(angles, aggregate)
        ours = fastest(partial(ansatz.value_and_gradient, angles, aggregate), repeats)
        floor = passes(selection.basis)
        case = f"{qubits} qubits"
        yield {"case": case, "method": "floor", "milliseconds": 1e3 * floor}
        row: Row = {
            "case": case,
            "method": "kernel",
            "milliseconds": 1e3 * ours,
            "over_floor": ours / floor,
            "goal": "<= 3x floor, >= 30x lightning",
        }
        if qubits == 20:
            yield row | {"goal_met": ours / floor <= 3}
            continue
        device = SubspaceDevice(qubits, qubits // 2)
        node = _gradient(device, "device", selection)
        yield {"case": case, "method": "subspace device", "milliseconds": 1e3 * fastest(node, 5)}
        node = _gradient(qml.device("lightning.qubit", wires=qubits), "adjoint", selection)
        theirs = fastest(node, 2)
        yield {"case": case, "method": "lightning adjoint", "milliseconds": 1e3 * theirs}
        met = ours / floor <= 3 and theirs / ours >= 30
        yield row | {"times_faster": theirs / ours, "goal_met": met}


def passes(basis: Subspace) -> float:
    """Seconds of the complex products alone.

    In each layer a phase and half a pass per pair: once forward, twice backward and once for the
    inner products.
    """
    state = np.ones(basis.size, dtype=np.complex128)
    out, repeats = np.empty_like(state), max(1, 300_000 // basis.size)

    def run() -> None:
        for _ in range(repeats):
            np.multiply(state, state, out=out)

    return LAYERS * (1 + basis.qubits / 2) * 4 * fastest(run, 5) / repeats


def _gradient(device: Any, method: str, selection: Selection) -> Callable[[], Any]:
    """The same circuit and cost on a PennyLane device, through qml.grad."""
    qubits = selection.basis.qubits
    symmetric = selection.form.pairs + selection.form.pairs.T
    fields = -selection.form.linear / 2 - symmetric.sum(axis=1) / 4
    terms = [qml.Z(i) for i in range(qubits)]
    weights = list(fields)
    for i, j in np.argwhere(selection.form.pairs):
        terms.append(qml.Z(int(i)) @ qml.Z(int(j)))
        weights.append(selection.form.pairs[i, j] / 4)
    cost = qml.Hamiltonian(weights, terms)

    dicke = DickeState(selection.basis.weight, range(qubits)).state_vector().reshape(-1)

    def circuit(angles: Any) -> Any:
        if isinstance(device, SubspaceDevice):
            rows = angles.reshape(-1, LAYERS)
            ring_operations(selection.basis, selection.form, rows, range(qubits))
            return qml.expval(cost)
        # Others get the state as a vector, not gate by gate, so that only layers are compared.
        qml.StatePrep(dicke, wires=range(qubits))
        for gamma, *betas in angles.reshape(-1, LAYERS).T:
            PhaseSeparator.compute_decomposition(gamma, range(qubits), selection.form)
            for brick, beta in enumerate(betas):
                XYBrick.compute_decomposition(beta, range(qubits), brick)
        return qml.expval(cost)

    gradient = qml.grad(qml.QNode(circuit, device, diff_method=method))
    start = RingAnsatz(selection.basis, selection.costs, LAYERS).initial(np.random.default_rng(0))
    angles = pnp.array(start, requires_grad=True)
    return lambda: gradient(angles)

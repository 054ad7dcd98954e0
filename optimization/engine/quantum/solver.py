"""What QAOA and VQE share: from a problem to a solution with its evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from optimization.engine import measures
from optimization.engine.errors import UnsupportedProblemError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.heuristics.reference import reference_of
from optimization.engine.heuristics.search import relative_gap
from optimization.engine.moments import SAMPLE, Covariance, estimate_covariance
from optimization.engine.problem import FloatArray, Method, Objective, Problem, Solution
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.encoding import COPIES
from optimization.engine.quantum.gates import CircuitCost, Gate, circuit_cost
from optimization.engine.quantum.landscape import Landscape, Valuation
from optimization.engine.quantum.parameters import SUBSPACE_DEVICE, QuantumParameters
from optimization.engine.quantum.running import (
    ExactRunner,
    Runner,
    SamplingRunner,
    shot_sampler,
)
from optimization.engine.quantum.sampling import DeviceSampler
from optimization.engine.quantum.search import Search, StoppedBy, bounded, control_record
from optimization.engine.registry import SolveContext

_COVARIANCE_OBJECTIVES = frozenset({Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_SHARPE})


@dataclass(frozen=True, slots=True)
class Recipe:
    """One quantum method.

    Attributes:
        method: Its name on the wire.
        layers: Layers of its circuit where gradients are exact, unless the request says otherwise.
        sampled_layers: The same where there are only samples and angles are dear.
        build: Makes the ansatz of a landscape with a number of layers.
        gates: The circuit of an ansatz at some angles.
    """

    method: Method
    layers: int
    sampled_layers: int
    build: Callable[[Landscape, int], Ansatz]
    gates: Callable[[Landscape, Ansatz, FloatArray], Sequence[Gate]]


def solve_variational(problem: Problem, context: SolveContext, recipe: Recipe) -> Solution:
    """Solve a problem with circuits on lots of capital.

    Raises:
        InvalidProblemError: A parameter is unknown or has no sensible value.
        UnsupportedProblemError: A constraint besides bounds and the budget is in use.
        InfeasibleProblemError: No portfolio satisfies the constraints.
        NoExcessReturnError: No portfolio earns more than the risk-free rate.
    """
    started = perf_counter()
    settings = QuantumParameters.of(
        context.parameters, layers=recipe.layers, sampled_layers=recipe.sampled_layers
    )
    beyond = problem.constraints.beyond_bounds
    if beyond:
        raise UnsupportedProblemError(
            f"{recipe.method} knows bounds per asset and the budget, not"
            f" {', '.join(name.rpartition('.')[2] for name in beyond)}; use method"
            f" {Method.MEAN_VARIANCE}",
            ["method", *beyond],
        )
    requested = context.parameters.get("covariance")
    covariance = estimate_covariance(problem.returns, requested)
    valuation = Valuation(problem, covariance)
    feasible = FeasibleSet.of(problem)
    reference = reference_of(problem, covariance, feasible.budget_low)
    search = Search(
        valuation=valuation,
        settings=settings,
        context=context,
        build=lambda landscape: recipe.build(landscape, settings.layers),
        runner=_runner(settings, context, recipe),
        bound=reference.bound,
        started=started,
    )
    incumbent, stopped = search.run()
    weights = bounded(incumbent.allocation, valuation)
    return Solution(
        weights=weights,
        metrics=measures.describe(weights, problem),
        solver=f"{recipe.method}/{settings.device}",
        solve_time=perf_counter() - started,
        optimality_gap=relative_gap(incumbent.cost, reference.bound),
        max_violation=feasible.violation(weights),
        covariance=covariance.kind if problem.objective in _COVARIANCE_OBJECTIVES else SAMPLE,
        risk_contributions=_risk_contributions(weights, covariance),
        diagnostics=_diagnostics(search, recipe, stopped) | {"gap_basis": reference.basis},
    )


def _runner(settings: QuantumParameters, context: SolveContext, recipe: Recipe) -> Runner:
    """The subspace simulator, or a device that only shows samples.

    Angles for a noisy device come from the noiseless simulator: each noisy evaluation costs as
    much as all its trajectories.
    """
    rng = context.rng
    if settings.exact:
        return ExactRunner(settings, rng)
    if settings.device == SUBSPACE_DEVICE:
        return SamplingRunner(settings, shot_sampler(rng, settings.shots_drawn))
    sampler = DeviceSampler(settings, recipe.gates, rng)
    return (
        ExactRunner(settings, rng, sampler) if settings.noise else SamplingRunner(settings, sampler)
    )


def _risk_contributions(weights: FloatArray, covariance: Covariance) -> FloatArray | None:
    marginal = covariance.times(weights)
    variance = float(weights @ marginal)
    return weights * marginal / variance if variance > 0 else None


def _diagnostics(search: Search, recipe: Recipe, stopped: StoppedBy) -> dict[str, Any]:
    settings, rounds = search.settings, search.rounds
    widest = max(rounds, key=lambda item: item.qubits, default=None)
    cost = _circuit_cost(search, recipe)
    record: dict[str, Any] = {
        "seed": settings.seed,
        "evaluations": search.evaluations,
        "iterations": search.iterations,
        "stopped_by": str(stopped),
        "device": settings.device,
        "shots": settings.shots,
        "samples": settings.shots_drawn,
        "layers": settings.layers,
        "noise": settings.noise,
        "angles_from": _angles_from(settings),
        "qubits": widest.qubits if widest else 0,
        "feasible_states": widest.states if widest else 1,
        "p_feasible": min((item.p_feasible for item in rounds), default=1.0),
        "p_opt": widest.p_opt if widest else 1.0,
        "lift": widest.lift if widest else 1.0,
        "approximation_ratio": widest.ratio if widest else 1.0,
        "phase_r_squared": widest.r_squared if widest else 1.0,
        "finest_lot": min((item.unit for item in rounds), default=None),
        "depth": cost.depth,
        "two_qubit_gates": cost.two_qubit_gates,
        "rounds": len(rounds),
        "control": control_record(search),
    }
    return record | _narrowing(search)


def _angles_from(settings: QuantumParameters) -> str:
    """How the angles were found."""
    if settings.noise:
        return "L-BFGS-B on adjoint gradients of the noiseless simulator"
    return "L-BFGS-B on adjoint gradients" if settings.exact else "COBYLA on samples"


def _circuit_cost(search: Search, recipe: Recipe) -> CircuitCost:
    if search.widest is None:
        return CircuitCost(depth=0, two_qubit_gates=0)
    landscape, ansatz = search.widest
    angles = np.ones(ansatz.n_parameters)
    return circuit_cost(recipe.gates(landscape, ansatz, angles), landscape.encoding.qubits)


def _narrowing(search: Search) -> dict[str, Any]:
    """How the choice of assets was narrowed, if the qubits did not hold all of them."""
    entries, held = search.valuation.space.size, search.settings.qubits // COPIES
    if entries <= held:
        return {}
    return {
        "narrowed_from": entries,
        "narrowed_to": held,
        "narrowing": (
            f"each circuit moves {held} of {entries} assets (cash counts as one) and leaves the"
            " others at the best portfolio so far: half of them are those whose next lot, bought"
            " or sold, pays most, the others are drawn"
        ),
    }

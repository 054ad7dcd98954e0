"""What QAOA and VQE share: from a problem to a solution with its evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from optimization.engine.covariance import SAMPLE
from optimization.engine.description import describe_portfolio
from optimization.engine.errors import InfeasibleProblemError, UnsupportedProblemError
from optimization.engine.feasible import SLACK, FeasibleSet, asset_bounds
from optimization.engine.heuristics.reference import reference_of
from optimization.engine.heuristics.search import relative_gap
from optimization.engine.moments import estimate_covariance
from optimization.engine.objectives import BY_COVARIANCE
from optimization.engine.problem import FloatArray, Method, Problem, Solution
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.gates import CircuitCost, Gate, circuit_cost
from optimization.engine.quantum.landscape import Landscape, Valuation
from optimization.engine.quantum.parameters import SUBSPACE_DEVICE, Defaults, QuantumParameters
from optimization.engine.quantum.running import (
    ExactRunner,
    Runner,
    SamplingRunner,
    shot_sampler,
)
from optimization.engine.quantum.sampling import DeviceSampler
from optimization.engine.quantum.schedule import Schedule
from optimization.engine.quantum.search import Search, StoppedBy, bounded, control_record
from optimization.engine.quantum.selection import Polished, SelectionSchedule, Shortlist
from optimization.engine.registry import SolveContext

_TREATED = frozenset({"constraints.max_assets"})
"""Constraints besides bounds and budget that are treated."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One quantum method.

    Attributes:
        method: Its name on the wire.
        defaults: What it uses unless the request says otherwise.
        build: Makes the ansatz of a landscape with a number of layers.
        gates: The circuit of an ansatz at some angles.
    """

    method: Method
    defaults: Defaults
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
    settings = QuantumParameters.of(context.parameters, recipe.defaults)
    _refuse_untreated(problem, recipe)
    covariance = estimate_covariance(
        problem.returns, context.parameters.get("covariance")
    ).covariance
    valuation = Valuation(problem, covariance)
    feasible, held = FeasibleSet.of(problem), assets_to_choose(problem)
    reference = reference_of(problem, covariance, feasible.budget_low)
    shortlist = Shortlist({})
    search = Search(
        valuation=valuation,
        settings=settings,
        context=context,
        plan=lambda rng: (
            Schedule(valuation, settings.qubits, rng)
            if held is None
            else SelectionSchedule(valuation, held, settings.qubits, rng)
        ),
        build=lambda landscape: recipe.build(landscape, settings.layers),
        runner=_runner(settings, context, recipe),
        bound=reference.bound,
        started=started,
        observe=lambda landscape, counts: shortlist.note(landscape, counts, problem.n_assets),
    )
    incumbent, stopped = search.run()
    weights, cost = bounded(incumbent.allocation, valuation), incumbent.cost
    diagnostics = _diagnostics(search, recipe, stopped) | {"gap_basis": reference.basis}
    solver = f"{recipe.method}/{settings.device}"
    if held is not None:
        polished = Polished.of(shortlist.best(), valuation, covariance.kind)
        weights, cost, solver = polished.weights, polished.cost, f"{solver} + mean_variance"
        diagnostics |= {
            "polished": "classically: the exact method weighs the choices that circuits drew",
            "choices_weighed": polished.weighed,
        }
    return Solution(
        weights=weights,
        solver=solver,
        solve_time=perf_counter() - started,
        optimality_gap=relative_gap(cost, reference.bound),
        max_violation=feasible.violation(weights),
        covariance=covariance.kind if problem.objective in BY_COVARIANCE else SAMPLE,
        describe=partial(describe_portfolio, weights, problem, covariance),
        diagnostics=diagnostics,
    )


def _refuse_untreated(problem: Problem, recipe: Recipe) -> None:
    untreated = [name for name in problem.constraints.beyond_bounds if name not in _TREATED]
    if untreated:
        raise UnsupportedProblemError(
            f"{recipe.method} knows bounds per asset, the budget and max_assets, not"
            f" {', '.join(name.rpartition('.')[2] for name in untreated)}; use method"
            f" {Method.MEAN_VARIANCE}",
            ["method", *untreated],
        )


def assets_to_choose(problem: Problem) -> int | None:
    """How many assets circuits have to choose, or None if all may be held.

    Raises:
        UnsupportedProblemError: Some asset has to be held, so the choice is not free.
        InfeasibleProblemError: So few assets cannot hold the capital.
    """
    most = problem.constraints.max_assets
    if most is None or most >= problem.n_assets:
        return None
    lower, upper = asset_bounds(problem)
    if (lower > 0).any():
        raise UnsupportedProblemError(
            "a choice of assets by circuits may leave any of them out: set min_weight to 0 or use"
            f" method {Method.MEAN_VARIANCE}",
            ["constraints.max_assets", "constraints.min_weight"],
        )
    reach = float(np.sort(upper)[-most:].sum())
    if problem.constraints.sum_to_one and reach < 1.0 - SLACK:
        raise InfeasibleProblemError(
            f"{most} assets can hold {reach:g} of the capital at most; raise max_assets or"
            " max_weight, or set sum_to_one to false",
            ["constraints.max_assets", "constraints.max_weight", "constraints.sum_to_one"],
        )
    return most


def _runner(settings: QuantumParameters, context: SolveContext, recipe: Recipe) -> Runner:
    """The subspace simulator, or a device that only shows samples.

    Angles for a noisy device come from the noiseless simulator: each noisy evaluation costs as
    much as all its trajectories.
    """
    rng = context.generator
    if settings.exact:
        return ExactRunner(settings, rng)
    if settings.device == SUBSPACE_DEVICE:
        return SamplingRunner(settings, shot_sampler(rng, settings.shots_drawn))
    sampler = DeviceSampler(settings, recipe.gates, rng)
    return (
        ExactRunner(settings, rng, sampler) if settings.noise else SamplingRunner(settings, sampler)
    )


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
    return record | (search.control.schedule.narrowing() if search.control else {})


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

"""Which solver answers which method; each solver's module is imported at its first use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from optimization.engine.errors import MethodUnavailableError
from optimization.engine.lazy import lazy_property
from optimization.engine.problem import Method, OnProgress, Problem, Progress, Solution
from optimization.engine.support import check_supported

if TYPE_CHECKING:
    # numpy loads its generators at first use, which the web process never makes.
    from numpy.random import Generator


def ignore_progress(_progress: Progress) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class SolveContext:
    """What a solver gets besides the problem.

    Attributes:
        rng: Where all randomness comes from: a generator, a seed for one, or None for a new one.
        parameters: The request's method-specific parameters.
        on_progress: Where to report; raising from it stops the solver.
    """

    rng: "Generator | int | None" = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    on_progress: OnProgress = ignore_progress

    @lazy_property
    def generator(self) -> "Generator":
        """The only source of randomness; seeding one takes a tenth of a solve that needs none."""
        return np.random.default_rng(self.rng)


Solver = Callable[[Problem, SolveContext], Solution]

_SOLVERS: Mapping[Method, tuple[str, str]] = {
    Method.MEAN_VARIANCE: ("optimization.engine.convex.solver", "solve_convex"),
    Method.GENETIC_ALGORITHM: ("optimization.engine.heuristics.solver", "solve_genetic"),
    Method.SIMULATED_ANNEALING: ("optimization.engine.heuristics.solver", "solve_annealing"),
    Method.PARTICLE_SWARM: ("optimization.engine.heuristics.solver", "solve_swarm"),
    Method.VQE: ("optimization.engine.quantum.vqe", "solve_vqe"),
    Method.QAOA: ("optimization.engine.quantum.qaoa", "solve_qaoa"),
}


def available_methods() -> tuple[Method, ...]:
    """The methods that have a solver, in the order of the enum."""
    return tuple(method for method in Method if method in _SOLVERS)


def check_available(method: Method) -> None:
    """Refuse a method without a solver; loads none.

    Raises:
        MethodUnavailableError: The method has no solver in this build.
    """
    if method not in _SOLVERS:
        names = ", ".join(available_methods())
        raise MethodUnavailableError(
            f"{method} is not available on this server; use one of: {names}", ["method"]
        )


@cache
def solver_for(method: Method) -> Solver:
    """The solver of a method, its module loaded.

    Raises:
        MethodUnavailableError: The method has no solver in this build.
    """
    check_available(method)
    module, name = _SOLVERS[method]
    solver: Solver = getattr(import_module(module), name)
    return solver


def solve(
    problem: Problem,
    *,
    method: Method = Method.MEAN_VARIANCE,
    rng: "Generator | int | None" = None,
    parameters: Mapping[str, Any] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Solution:
    """Solve a problem with a method.

    Args:
        problem: What to solve.
        method: How.
        rng: Source of randomness, or a seed for one; the same state gives the same weights.
        parameters: Method-specific settings, by the names of the wire.
        on_progress: Called as the solver goes; raising ``SolveCancelledError`` stops it.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    check_supported(method, problem)
    context = SolveContext(
        rng=rng,
        parameters=MappingProxyType(dict(parameters or {})),
        on_progress=on_progress,
    )
    return solver_for(method)(problem, context)

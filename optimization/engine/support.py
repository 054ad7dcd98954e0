"""Which method can treat what, known without loading a solver."""

from optimization.engine.errors import UnsupportedProblemError
from optimization.engine.objectives import EXACT_ONLY, SEARCHED
from optimization.engine.problem import Method, Problem

SEARCH_METHODS = (
    Method.GENETIC_ALGORITHM,
    Method.SIMULATED_ANNEALING,
    Method.PARTICLE_SWARM,
)
"""The methods that need nothing of an objective but its value."""

SEARCH_CONSTRAINTS = ("constraints.lot_size", "constraints.fixed_fee")
"""Constraints without an exact solver."""


def check_supported(method: Method, problem: Problem) -> None:
    """Refuse what one method cannot treat and another can.

    Raises:
        UnsupportedProblemError: Naming the objective or the constraints, and the methods.
    """
    if method != Method.MEAN_VARIANCE:
        if problem.objective in EXACT_ONLY:
            raise UnsupportedProblemError(
                f"{method} does not know {problem.objective}; use method {Method.MEAN_VARIANCE}",
                ["method", "objective"],
            )
        return
    methods = f"use one of: {', '.join(SEARCH_METHODS)}"
    if problem.objective in SEARCHED:
        raise UnsupportedProblemError(
            f"{method} has no exact solver for {problem.objective}; {methods}",
            ["objective", "method"],
        )
    used = [name for name in problem.constraints.beyond_bounds if name in SEARCH_CONSTRAINTS]
    if used:
        raise UnsupportedProblemError(
            f"{method} cannot treat {' and '.join(used)}; {methods}", [*used, "method"]
        )

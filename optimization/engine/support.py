"""Which method can treat what, known without loading a solver."""

from optimization.engine.errors import UnsupportedProblemError
from optimization.engine.problem import Method, Objective, Problem

SEARCH_METHODS = (
    Method.GENETIC_ALGORITHM,
    Method.SIMULATED_ANNEALING,
    Method.PARTICLE_SWARM,
)
"""The methods that need nothing of an objective but its value."""

SEARCH_OBJECTIVES = frozenset(
    {Objective.MINIMIZE_VALUE_AT_RISK, Objective.MAXIMIZE_OMEGA, Objective.MAXIMIZE_CALMAR}
)
"""Objectives without an exact solver."""

EXACT_OBJECTIVES = frozenset(
    {
        Objective.MAXIMIZE_UTILITY,
        Objective.MAXIMIZE_DIVERSIFICATION,
        Objective.MINIMIZE_MAD,
        Objective.MINIMIZE_CDAR,
        Objective.MINIMIZE_MAX_DRAWDOWN,
        Objective.RISK_PARITY,
        Objective.HIERARCHICAL_RISK_PARITY,
        Objective.EQUAL_WEIGHT,
        Objective.INVERSE_VOLATILITY,
    }
)
"""Objectives that the exact method alone knows."""

SEARCH_CONSTRAINTS = ("constraints.lot_size", "constraints.fixed_fee")
"""Constraints without an exact solver."""


def check_supported(method: Method, problem: Problem) -> None:
    """Refuse what one method cannot treat and another can.

    Raises:
        UnsupportedProblemError: Naming the objective or the constraints, and the methods.
    """
    if method != Method.MEAN_VARIANCE:
        if problem.objective in EXACT_OBJECTIVES:
            raise UnsupportedProblemError(
                f"{method} does not know {problem.objective}; use method {Method.MEAN_VARIANCE}",
                ["method", "objective"],
            )
        return
    methods = f"use one of: {', '.join(SEARCH_METHODS)}"
    if problem.objective in SEARCH_OBJECTIVES:
        raise UnsupportedProblemError(
            f"{method} has no exact solver for {problem.objective}; {methods}",
            ["objective", "method"],
        )
    used = [name for name in problem.constraints.beyond_bounds if name in SEARCH_CONSTRAINTS]
    if used:
        raise UnsupportedProblemError(
            f"{method} cannot treat {' and '.join(used)}; {methods}", [*used, "method"]
        )

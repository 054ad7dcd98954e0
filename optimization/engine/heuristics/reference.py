"""The exact optimum that a search is measured against."""

from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.errors import (
    InfeasibleProblemError,
    MethodUnavailableError,
    SolverFailureError,
    UnboundedProblemError,
    UnsupportedProblemError,
)
from optimization.engine.measures import CostFunction
from optimization.engine.problem import FloatArray, Method, Problem
from optimization.engine.registry import solve


@dataclass(frozen=True, slots=True)
class Reference:
    """A certified bound on the cost, or why there is none.

    Attributes:
        bound: No feasible portfolio costs less; None where nothing proves such a bound.
        weights: The exact optimum of the convex problem that gave the bound, shape (n,), or None.
        basis: What the bound is: one sentence.
        exact: Whether the bound is the optimum of the problem itself, not of a wider one.
    """

    bound: float | None
    weights: FloatArray | None
    basis: str
    exact: bool = False


def reference_of(problem: Problem, cost: CostFunction, covariance: object) -> Reference:
    """Solve the problem exactly; where it is not convex, solve the convex problem around it.

    Args:
        problem: What is searched.
        cost: Its cost function.
        covariance: The requested estimator, as in the request's parameters.

    Raises:
        InfeasibleProblemError: Even the convex problem has no portfolio, or a ratio no maximum.
    """
    relaxed = relax(problem)
    parameters = {} if covariance is None else {"covariance": covariance}
    try:
        solution = solve(relaxed, method=Method.MEAN_VARIANCE, parameters=parameters)
    except InfeasibleProblemError:
        raise
    except (UnsupportedProblemError, MethodUnavailableError, UnboundedProblemError) as error:
        return Reference(None, None, f"no bound: {error.message}")
    except SolverFailureError as error:
        return Reference(None, None, f"no bound: the exact solver failed ({error.message})")
    gap = solution.optimality_gap
    value = float(cost(solution.weights))
    if gap is None or not np.isfinite(gap) or not np.isfinite(value):
        return Reference(None, solution.weights, "no bound: the exact answer has no certificate")
    exact = relaxed is problem
    return Reference(
        bound=value - gap * abs(value),
        weights=solution.weights,
        basis=_EXACT if exact else _RELAXED,
        exact=exact,
    )


_EXACT = "exact optimum of the same problem by mean_variance"
_RELAXED = (
    "exact optimum without the limits that only a search can treat, so the true gap is smaller"
)


def relax(problem: Problem) -> Problem:
    """The problem without what is not convex; the problem itself when all of it is convex."""
    constraints = problem.constraints
    relaxed = replace(
        constraints, max_assets=None, min_position=None, lot_size=None, fixed_fee=None
    )
    if constraints.lot_size is not None:
        # Whole shares leave cash, also where the weights are asked to sum to one.
        relaxed = replace(relaxed, sum_to_one=False)
    return problem if relaxed == constraints else replace(problem, constraints=relaxed)

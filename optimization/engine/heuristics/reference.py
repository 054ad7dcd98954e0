"""The exact optimum that a search is measured against."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optimization.engine.covariance import Covariance
from optimization.engine.errors import (
    MethodUnavailableError,
    NoExcessReturnError,
    SolverFailureError,
    UnboundedProblemError,
    UnsupportedProblemError,
)
from optimization.engine.feasible import FeasibleSet
from optimization.engine.heuristics.costs import fast_cost_function
from optimization.engine.heuristics.exact_ratios import EXACT_RATIOS
from optimization.engine.problem import FloatArray, Group, Method, Problem
from optimization.engine.projection import project
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


def reference_of(problem: Problem, covariance: Covariance, budget_low: float) -> Reference:
    """Solve the problem exactly; where it is not convex, solve the convex problem around it.

    Args:
        problem: What is searched.
        covariance: The estimate in use.
        budget_low: Smallest sum of the weights of any portfolio that may be held.

    Raises:
        InfeasibleProblemError: Even the convex problem has no portfolio, or a ratio no maximum.
    """
    relaxed = relax(problem, budget_low)
    try:
        if relaxed.objective in EXACT_RATIOS:
            return _ratio_reference(problem, relaxed, budget_low)
        solution = solve(
            relaxed, method=Method.MEAN_VARIANCE, parameters={"covariance": covariance.kind}
        )
    except (UnsupportedProblemError, MethodUnavailableError, UnboundedProblemError) as error:
        return Reference(None, None, f"no bound: {error.message}")
    except SolverFailureError as error:
        return Reference(None, None, f"no bound: the exact solver failed ({error.message})")
    gap = solution.optimality_gap
    value = float(fast_cost_function(relaxed, covariance)(solution.weights))
    if gap is None or not np.isfinite(gap) or not np.isfinite(value):
        return Reference(None, solution.weights, "no bound: the exact answer has no certificate")
    bound, basis = value - gap * abs(value), _basis(problem, "mean_variance")
    return Reference(bound, solution.weights, basis, relaxed is problem)


def _ratio_reference(problem: Problem, relaxed: Problem, budget_low: float) -> Reference:
    """The exact optimum of a ratio that the exact method does not know.

    Unlike the others it may be of a kind that has no maximum while its values can still be
    compared, so that a search has something to do.
    """
    feasible = replace(FeasibleSet.of(relaxed), budget_low=budget_low)
    equal = np.full((1, problem.n_assets), 1.0 / problem.n_assets)
    try:
        best = EXACT_RATIOS[relaxed.objective](relaxed, feasible, project(equal, feasible)[0])
    except NoExcessReturnError as error:
        return Reference(None, None, f"no bound: {error.message}")
    basis = _basis(problem, "cutting planes")
    return Reference(best.bound, best.weights, basis, relaxed is problem)


_DISCRETE = ("max_assets", "min_position", "lot_size", "fixed_fee")
"""What is not convex."""


def _basis(problem: Problem, solver: str) -> str:
    used = [name for name in _DISCRETE if getattr(problem.constraints, name) is not None]
    if not used:
        return f"exact optimum of the same problem by {solver}"
    return f"exact optimum by {solver} without {' and '.join(used)}: the true gap is at most this"


def relax(problem: Problem, budget_low: float) -> Problem:
    """The problem without what is not convex; the problem itself when all of it is convex.

    Whole shares leave cash, so the weights then sum to at least ``budget_low``.
    """
    constraints = problem.constraints
    without: dict[str, Any] = dict.fromkeys(_DISCRETE)
    relaxed = replace(constraints, **without)
    if constraints.lot_size is not None:
        invested = Group(name="invested", symbols=problem.symbols, min_weight=budget_low)
        relaxed = replace(relaxed, sum_to_one=False, groups=(invested,))
    return problem if relaxed == constraints else replace(problem, constraints=relaxed)

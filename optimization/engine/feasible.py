"""The set of portfolios that a request allows: bounds per asset and a budget."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Self

import numpy as np

from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import FloatArray, Problem

SLACK = 1e-12
"""Rounding allowed when bounds are summed: 5 × 0.2 need not be exactly 1."""


@dataclass(frozen=True, slots=True)
class FeasibleSet:
    """All w with lower ≤ w ≤ upper and budget_low ≤ Σw ≤ budget_high.

    Attributes:
        lower: Shape (n,).
        upper: Shape (n,).
        budget_low: Smallest sum of the weights.
        budget_high: Largest sum of the weights.
    """

    lower: FloatArray
    upper: FloatArray
    budget_low: float
    budget_high: float

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The feasible set of a problem.

        Raises:
            InfeasibleProblemError: It is empty; the message names the smallest mend.
        """
        check_bounds(problem)
        lower, upper = asset_bounds(problem)
        return cls(
            lower=lower,
            upper=upper,
            budget_low=1.0 if problem.constraints.sum_to_one else min(float(lower.sum()), 1.0),
            budget_high=1.0,
        )

    def violation(self, weights: FloatArray) -> float:
        """Largest violation of any bound or of the budget by one portfolio, shape (n,)."""
        total = float(weights.sum())
        return max(
            0.0,
            float((self.lower - weights).max()),
            float((weights - self.upper).max()),
            self.budget_low - total,
            total - self.budget_high,
        )


def asset_bounds(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest weight of every asset, two arrays of shape (n,)."""
    constraints, n = problem.constraints, problem.n_assets
    lower, upper = np.full(n, constraints.lower), np.full(n, constraints.upper)
    for position, symbol in enumerate(problem.symbols if constraints.asset_bounds else ()):
        lower[position], upper[position] = constraints.bounds_of(symbol)
    return lower, upper


def check_bounds(problem: Problem) -> None:
    """Refuse bounds that no portfolio of n assets can satisfy.

    Raises:
        InfeasibleProblemError: Naming the bounds in conflict and the smallest relaxation.
    """
    constraints, n = problem.constraints, problem.n_assets
    own = ["constraints.asset_bounds"] if constraints.asset_bounds else []
    if not own and n * constraints.lower <= 1.0 <= n * constraints.upper:
        return
    lower, upper = asset_bounds(problem)
    largest, smallest = float(upper.sum()), float(lower.sum())
    if constraints.sum_to_one and largest < 1.0 - SLACK:
        free = n - sum(item.max_weight is not None for item in constraints.asset_bounds.values())
        mend = (
            f"raise max_weight to at least {_up(constraints.upper + (1 - largest) / free)}"
            if free and constraints.upper + (1 - largest) / free <= 1
            else f"raise the largest weights by {_up(1 - largest)} in total"
        )
        raise InfeasibleProblemError(
            f"{n} assets of at most {_each(upper)} cannot sum to 1; {mend} or set sum_to_one to"
            " false",
            ["constraints.max_weight", *own, "constraints.sum_to_one", "symbols"],
        )
    if smallest > 1.0 + SLACK:
        free = n - sum(item.min_weight is not None for item in constraints.asset_bounds.values())
        mend = (
            f"lower min_weight to at most {_down(constraints.lower - (smallest - 1) / free)}"
            if free
            else f"lower the smallest weights by {_up(smallest - 1)} in total"
        )
        raise InfeasibleProblemError(
            f"{n} assets of at least {_each(lower)} sum to more than 1; {mend}",
            ["constraints.min_weight", *own, "symbols"],
        )


def _up(value: float) -> str:
    """At least ``value``, in six decimals: advice that is rounded down does not help."""
    return f"{ceil(round(value * 1e6, 3)) / 1e6:.6f}".rstrip("0").rstrip(".")


def _down(value: float) -> str:
    return f"{floor(round(value * 1e6, 3)) / 1e6:.6f}".rstrip("0").rstrip(".")


def _each(bounds: FloatArray) -> str:
    low, high = float(bounds.min()), float(bounds.max())
    return f"{low:g} each" if low == high else f"{low:g} to {high:g} each"

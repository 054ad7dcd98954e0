"""The set of portfolios that a request allows: bounds per asset and a budget."""

from dataclasses import dataclass
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
        constraints, n = problem.constraints, problem.n_assets
        return cls(
            lower=np.full(n, constraints.lower),
            upper=np.full(n, constraints.upper),
            budget_low=1.0 if constraints.sum_to_one else min(n * constraints.lower, 1.0),
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


def check_bounds(problem: Problem) -> None:
    """Refuse bounds that no portfolio of n assets can satisfy.

    Raises:
        InfeasibleProblemError: Naming the bounds in conflict and the smallest relaxation.
    """
    constraints, n = problem.constraints, problem.n_assets
    if constraints.sum_to_one and n * constraints.upper < 1.0 - SLACK:
        raise InfeasibleProblemError(
            f"{n} assets of at most {constraints.upper:g} each cannot sum to 1; raise max_weight"
            f" to at least {1 / n:.6g} or set sum_to_one to false",
            ["constraints.max_weight", "constraints.sum_to_one", "symbols"],
        )
    if n * constraints.lower > 1.0 + SLACK:
        raise InfeasibleProblemError(
            f"{n} assets of at least {constraints.lower:g} each sum to more than 1; lower"
            f" min_weight to at most {1 / n:.6g}",
            ["constraints.min_weight", "symbols"],
        )

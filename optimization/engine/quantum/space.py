"""The feasible portfolios as a box with one exact budget; cash, if allowed, is one more asset."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from optimization.engine.feasible import FeasibleSet
from optimization.engine.problem import FloatArray, Problem


@dataclass(frozen=True, slots=True)
class AllocationSpace:
    """All x with lower ≤ x ≤ upper and Σx = 1, of which the first ``n_assets`` are the weights.

    Attributes:
        lower: Shape (m,), m = n_assets, or n_assets + 1 with cash as the last entry.
        upper: Shape (m,).
        n_assets: Number of assets n.
    """

    lower: FloatArray
    upper: FloatArray
    n_assets: int

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The space of a problem.

        Raises:
            InfeasibleProblemError: It is empty.
        """
        feasible = FeasibleSet.of(problem)
        lower, upper = feasible.lower, feasible.upper
        if feasible.budget_low < feasible.budget_high:
            lower = np.append(lower, 0.0)
            upper = np.append(upper, 1.0 - feasible.budget_low)
        return cls(lower=lower, upper=upper, n_assets=problem.n_assets)

    @property
    def size(self) -> int:
        """Number of entries m, cash included."""
        return int(self.lower.size)

    def weights(self, allocation: FloatArray) -> FloatArray:
        """The assets' part of an allocation of shape (m,) or of p of them, shape (p, m)."""
        return np.asarray(allocation[..., : self.n_assets])

    def centre(self) -> FloatArray:
        """A feasible allocation that shares the budget in proportion to each entry's range."""
        room = self.upper - self.lower
        spare = 1.0 - float(self.lower.sum())
        total = float(room.sum())
        if total <= 0.0:
            return self.lower.copy()
        return np.asarray(self.lower + room * min(spare / total, 1.0))

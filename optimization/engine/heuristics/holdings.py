"""From any point to a portfolio that may be held: few positions, none too small, whole lots."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.feasible import SLACK, FeasibleSet
from optimization.engine.heuristics.lots import snap_bounds, whole_lots
from optimization.engine.measures import HELD
from optimization.engine.problem import FloatArray, Problem
from optimization.engine.projection import project, project_rows

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Holdings:
    """Bounds, budget and the rules that make a portfolio a discrete choice.

    Attributes:
        feasible: Bounds and budget; with lots the bounds are whole lots and the budget is as much
            wider as the dearest lot.
        max_assets: Largest number of positions.
        min_position: Smallest absolute weight of a position.
        lots: Weight of one lot of each asset, shape (n,), or None for any fraction.
    """

    feasible: FeasibleSet
    max_assets: int
    min_position: float = 0.0
    lots: FloatArray | None = None

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """What a problem allows to be held.

        Raises:
            InfeasibleProblemError: Nothing may be held; the message names the fields.
        """
        constraints, n = problem.constraints, problem.n_assets
        feasible = FeasibleSet.of(problem)
        holdings = cls(
            feasible=feasible,
            max_assets=n if constraints.max_assets is None else min(constraints.max_assets, n),
            min_position=constraints.min_position or 0.0,
        )
        if constraints.lot_size is not None and problem.prices is not None:
            capital = constraints.capital or 1.0
            holdings = holdings._in_lots(constraints.lot_size * problem.prices / capital)
        return holdings.checked()

    def _in_lots(self, lots: FloatArray) -> Self:
        lower, upper = snap_bounds(self.feasible.lower, self.feasible.upper, lots)
        reach = float(np.sort(upper)[::-1][: self.max_assets].sum())
        dearest = float(lots[(lower < 0) | (upper > 0)].max(initial=0.0))
        low = max(min(self.feasible.budget_low, reach) - dearest, float(lower.sum()))
        feasible = FeasibleSet(lower, upper, low, self.feasible.budget_high)
        return replace(self, feasible=feasible, lots=lots)

    def checked(self) -> Self:
        """Itself, if any choice of assets can meet the budget.

        Raises:
            InfeasibleProblemError: None can.
        """
        if self.is_restricted:
            _ = self.fallback
        return self

    @cached_property
    def is_restricted(self) -> bool:
        """Whether which assets are held is a choice of its own."""
        return self.max_assets < len(self.feasible.lower) or self.min_position > 0

    @cached_property
    def required(self) -> BoolArray:
        """Assets whose bounds exclude zero, shape (n,)."""
        return np.asarray((self.feasible.lower > 0) | (self.feasible.upper < 0))

    def decode(self, points: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Portfolios near the points, shape (p, n), and whether each meets every rule, (p,).

        A portfolio that meets every rule is its own decoding, so that none is out of reach.
        """
        feasible = self.feasible
        weights = project(points, feasible)
        met = np.ones(len(points), dtype=bool)
        lower = np.broadcast_to(feasible.lower, weights.shape)
        upper = np.broadcast_to(feasible.upper, weights.shape)
        if self.is_restricted:
            lower, upper = self._bounds_of_choice(weights, points)
            met = self._reachable(lower, upper)
            weights = project_rows(weights, lower, upper, self._budget)
        if self.lots is not None:
            weights = whole_lots(weights, (lower, upper), self.lots, self._budget)
        return weights, met

    def violation(self, weights: FloatArray) -> float:
        """Largest violation of any rule by one portfolio, shape (n,)."""
        sizes = np.sort(np.abs(weights[np.abs(weights) > HELD]))[::-1]
        worst = max(self.feasible.violation(weights), float(sizes[self.max_assets :].sum()))
        if sizes.size:
            worst = max(worst, self.min_position - float(sizes[-1]))
        if self.lots is not None:
            counts = np.rint(weights / self.lots)
            worst = max(worst, float(np.abs(weights - counts * self.lots).max()))
        return worst

    @property
    def _budget(self) -> tuple[float, float]:
        return self.feasible.budget_low, self.feasible.budget_high

    def _bounds_of_choice(
        self, weights: FloatArray, points: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Bounds of each row under the choice of assets that its largest weights make."""
        held_lower, held_upper = self.held_bounds(weights)
        # Assets at zero are ranked by how near they were to being held.
        score = np.abs(weights) + 1e-9 * points
        score = np.where(held_lower > held_upper, -np.inf, score)
        order = np.argsort(-np.where(self.required, np.inf, score), axis=1, kind="stable")
        threshold = max(0.5 * self.min_position, HELD)
        wanted = (np.abs(weights) >= threshold).sum(axis=1)
        count = self._count(
            wanted,
            np.take_along_axis(held_lower, order, axis=1),
            np.take_along_axis(held_upper, order, axis=1),
        )
        held = np.zeros(weights.shape, dtype=bool)
        np.put_along_axis(held, order, np.arange(weights.shape[1]) < count[:, None], axis=1)
        lower, upper = np.where(held, held_lower, 0.0), np.where(held, held_upper, 0.0)
        lost = ~self._reachable(lower, upper)
        lower[lost], upper[lost] = self.fallback
        return lower, upper

    def _count(
        self, wanted: npt.NDArray[np.intp], lower: FloatArray, upper: FloatArray
    ) -> npt.NDArray[np.intp]:
        """How many of the first assets to hold: the nearest count that can meet the budget.

        Shorts make the sums go down as well as up, so these counts may lie apart.

        Args:
            wanted: Counts to be near to, shape (p,).
            lower: Bounds if held of the assets in their order, shape (p, n).
            upper: The same.
        """
        counts = np.arange(lower.shape[1] + 1)
        none = np.zeros((len(lower), 1))
        lowest = np.hstack((none, lower.cumsum(axis=1)))
        highest = np.hstack((none, upper.cumsum(axis=1)))
        possible = (
            (highest >= self.feasible.budget_low - SLACK)
            & (lowest <= self.feasible.budget_high + SLACK)
            & (counts >= self.required.sum())
            & (counts <= self.max_assets)
        )
        distance = np.where(possible, np.abs(counts - wanted[:, None]), lower.shape[1] + 1)
        return np.asarray(distance.argmin(axis=1))

    def held_bounds(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bounds of every asset if held, on the side that its weight is on; (p, n) each."""
        lower, upper, smallest = self.feasible.lower, self.feasible.upper, self.min_position
        if smallest == 0:
            return np.broadcast_to(lower, weights.shape), np.broadcast_to(upper, weights.shape)
        up = down = np.full_like(lower, smallest)
        if self.lots is not None:
            up = np.ceil(smallest / self.lots - 1e-9) * self.lots
            down = up
        short = (weights < 0) | (upper < up)
        short &= lower <= -down
        held_lower = np.where(short, lower, np.maximum(lower, up))
        return held_lower, np.where(short, np.minimum(upper, -down), upper)

    def _reachable(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        return np.asarray(
            (lower.sum(axis=-1) <= self.feasible.budget_high + SLACK)
            & (upper.sum(axis=-1) >= self.feasible.budget_low - SLACK)
            & (lower <= upper).all(axis=-1)
        )

    @cached_property
    def fallback(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of a choice that can meet the budget: the fewest assets with the most room.

        Raises:
            InfeasibleProblemError: No choice can.
        """
        lower, upper = self.held_bounds(np.ones((1, len(self.feasible.lower))))
        lower, upper = lower[0], upper[0]
        room = np.where(self.required, np.inf, np.where(lower > upper, -np.inf, upper))
        order = np.argsort(-room, kind="stable")
        fewest = max(int(self.required.sum()), 0)
        for count in range(fewest, self.max_assets + 1):
            held = np.isin(np.arange(len(lower)), order[:count])
            bounds = np.where(held, lower, 0.0), np.where(held, upper, 0.0)
            if self._reachable(*bounds):
                return bounds
        raise InfeasibleProblemError(
            f"no choice of at most {self.max_assets} assets meets the bounds and the budget;"
            " raise max_assets or max_weight, or lower min_weight or min_position",
            [
                "constraints.max_assets",
                "constraints.min_position",
                "constraints.max_weight",
                "constraints.min_weight",
            ],
        )

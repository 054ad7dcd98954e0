"""The core that every search shares: evaluate inside the feasible set, count, report, stop."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from optimization.engine.heuristics.budget import Budget, StoppedBy
from optimization.engine.heuristics.landscape import Landscape, Population
from optimization.engine.heuristics.reference import Reference
from optimization.engine.problem import FloatArray, Progress
from optimization.engine.registry import SolveContext

REPORT_INTERVAL = 0.11
"""Seconds between two reports: ten in any second, even if they are not equally late."""


@dataclass(frozen=True, slots=True)
class Best:
    """The cheapest portfolio so far.

    Attributes:
        weights: Shape (n,).
        cost: Its cost, per period.
    """

    weights: FloatArray
    cost: float


class Run:
    """One search under way: evaluates, remembers the best, reports, and says when to stop.

    Args:
        landscape: What is searched.
        context: Randomness and where to report.
        budget: When to stop.
        reference: The exact optimum that the search is measured against.
        started: ``perf_counter()`` when the solver was called.
    """

    def __init__(
        self,
        landscape: Landscape,
        context: SolveContext,
        budget: Budget,
        *,
        reference: Reference,
        started: float,
    ) -> None:
        self.landscape = landscape
        self.rng = context.generator
        self.budget = budget
        self.reference = reference
        self.bound = reference.bound
        self.iterations = 0
        self.evaluations = 0
        self.stopped_by: StoppedBy | None = None
        self.best = Best(np.zeros(landscape.n_assets), np.inf)
        self._on_progress = context.on_progress
        self._started = started
        self._reported = started

    @property
    def share(self) -> float:
        """Share of the iterations or evaluations spent, from 0 to 1; never of the time."""
        spent = self.iterations / self.budget.iterations
        if self.budget.evaluations is not None:
            spent = max(spent, self.evaluations / self.budget.evaluations)
        return min(spent, 1.0)

    @property
    def gap(self) -> float | None:
        """Relative distance of the best cost to the bound, or None without a bound."""
        return relative_gap(self.best.cost, self.bound)

    def start(self) -> Population:
        """A first population, spread over the feasible set.

        One of it is the exact optimum without the discrete limits, if there are any; a convex
        problem is searched from scratch.
        """
        points = self.landscape.sample(self.rng, self.budget.population)
        if self.reference.weights is not None and not self.reference.exact:
            points[1] = self.reference.weights
        return self.evaluate(points)

    def restart(self) -> Population:
        """A population between the best portfolio and others spread over the feasible set.

        For the rugged costs that only a search can treat; a convex one has no second valley.
        """
        points = self.landscape.sample(self.rng, self.budget.population)
        nearness = self.rng.uniform(0.0, 1.0, (len(points), 1))
        return self.evaluate(points + nearness * (self.best.weights - points))

    def evaluate(self, points: FloatArray) -> Population:
        """The nearest feasible portfolios to ``points``, shape (p, n), and their costs."""
        population = self.landscape.evaluate(points)
        self.evaluations += len(points)
        cheapest = int(population.costs.argmin())
        if population.costs[cheapest] < self.best.cost:
            self.best = Best(population.weights[cheapest].copy(), float(population.costs[cheapest]))
        return population

    def proceed(self) -> bool:
        """Whether there is budget for another iteration; reports when a report is due."""
        now = perf_counter()
        self._report(now)
        self.stopped_by = self._reason(now)
        self.iterations += self.stopped_by is None
        return self.stopped_by is None

    def _reason(self, now: float) -> StoppedBy | None:
        gap, limit = self.gap, self.budget.evaluations
        if gap is not None and gap <= self.budget.target_gap:
            return StoppedBy.TARGET_GAP
        if self.iterations >= self.budget.iterations:
            return StoppedBy.ITERATIONS
        if limit is not None and self.evaluations + self.budget.population > limit:
            return StoppedBy.EVALUATIONS
        return StoppedBy.TIME_LIMIT if now - self._started >= self.budget.time_limit else None

    def _report(self, now: float) -> None:
        if now - self._reported < REPORT_INTERVAL or not np.isfinite(self.best.cost):
            return
        self._reported = now
        in_metric = self.landscape.in_metric
        self._on_progress(
            Progress(
                iteration=self.iterations,
                evaluations=self.evaluations,
                best_value=in_metric(self.best.cost),
                bound=None if self.bound is None else in_metric(self.bound),
                gap=self.gap,
                elapsed=now - self._started,
                weights=self.best.weights,
            )
        )


class Stall:
    """Notices that a population has stopped improving: 50 iterations for less than 0.01 %."""

    PATIENCE = 50
    IMPROVEMENT = 1e-4

    def __init__(self) -> None:
        self._since = 0
        self._cost = np.inf

    def is_over(self, cost: float) -> bool:
        """Whether a population, whose best cost is now ``cost``, has stopped; starts anew then."""
        if cost < self._cost - self.IMPROVEMENT * abs(cost):
            self._cost, self._since = cost, 0
        self._since += 1
        if self._since <= self.PATIENCE:
            return False
        self._cost, self._since = np.inf, 0
        return True


Move = Callable[[Run], None]
"""Searches until ``Run.proceed`` says no."""


def relative_gap(cost: float, bound: float | None) -> float | None:
    """(cost − bound) / |bound|, not below zero; None without a bound or with one of zero."""
    if bound is None or bound == 0 or not np.isfinite(cost):
        return None
    return max(0.0, (cost - bound) / abs(bound))

"""What is searched: feasible portfolios, and what each costs."""

from dataclasses import dataclass

import numpy as np

from optimization.engine.heuristics.holdings import Holdings
from optimization.engine.measures import CostFunction
from optimization.engine.problem import TRADING_DAYS, FloatArray, Objective


@dataclass(frozen=True, slots=True)
class Population:
    """Feasible portfolios and what they cost.

    Attributes:
        weights: Shape (p, n).
        costs: Shape (p,).
    """

    weights: FloatArray
    costs: FloatArray


@dataclass(frozen=True, slots=True)
class Landscape:
    """A cost over a feasible set.

    Attributes:
        objective: What the cost stands for.
        holdings: Where it is defined.
        cost: Maps (p, n) to (p,).
    """

    objective: Objective
    holdings: Holdings
    cost: CostFunction

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return len(self.holdings.feasible.lower)

    def evaluate(self, points: FloatArray) -> Population:
        """Bring each point to a feasible portfolio near it, and price that."""
        weights, met = self.holdings.decode(points)
        costs = self.cost(weights)
        return Population(weights, np.where(met & ~np.isnan(costs), costs, np.inf))

    def centre(self) -> FloatArray:
        """A feasible portfolio near equal weights, shape (n,)."""
        equal = np.full((1, self.n_assets), 1.0 / self.n_assets)
        return np.asarray(self.holdings.decode(equal)[0][0])

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        """``count`` points spread over the feasible set, the first at its centre.

        Sparse and dense portfolios alike: Dirichlet with concentrations from 0.1 to 10.
        """
        n, feasible = self.n_assets, self.holdings.feasible
        concentration = 10.0 ** rng.uniform(-1.0, 1.0, (count, 1))
        shares = rng.standard_gamma(np.broadcast_to(concentration, (count, n)))
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        points = feasible.lower + shares * (feasible.budget_high - feasible.lower.sum())
        points[0] = self.centre()
        return np.asarray(points)

    def exchanges(self, rng: np.random.Generator, weights: FloatArray) -> FloatArray:
        """Each portfolio after a random exchange between two assets, shape (p, n).

        The amount is log-uniform over five decades, so that every stage of a search finds steps
        of its own size, and assets that a population has lost can come back. Where which assets
        are held is a choice of its own, half the exchanges hand a whole position over.
        """
        count, n = weights.shape
        rows = np.arange(count)
        giver, taker = rng.integers(0, n, (2, count))
        amounts = 10.0 ** rng.uniform(-5.0, 0.0, count)
        if self.holdings.is_restricted:
            whole = rng.random(count) < 0.5
            amounts[whole] = (weights[rows, giver] - weights[rows, taker])[whole]
        points = weights.copy()
        points[rows, giver] -= amounts
        points[rows, taker] += amounts
        return points

    def in_metric(self, cost: float) -> float:
        """A cost in the units of the result's metrics: annualised, and with its natural sign."""
        return in_metric(self.objective, cost)


_PERIODS = {
    Objective.MAXIMIZE_SHARPE: float(np.sqrt(TRADING_DAYS)),
    Objective.MAXIMIZE_SORTINO: float(np.sqrt(TRADING_DAYS)),
    Objective.MAXIMIZE_RETURN: float(TRADING_DAYS),
    Objective.MAXIMIZE_CALMAR: float(TRADING_DAYS),
}
"""What turns a cost per period into the annual figure; 1 for the rest."""


def in_metric(objective: Objective, cost: float) -> float:
    """A cost per period as the figure that the objective's metric shows.

    The variance becomes the yearly volatility; losses stay per period.
    """
    if objective == Objective.MINIMIZE_VARIANCE:
        return float(np.sqrt(TRADING_DAYS * max(cost, 0.0)))
    sign = -1.0 if objective.value.startswith("maximize") else 1.0
    return sign * _PERIODS.get(objective, 1.0) * cost

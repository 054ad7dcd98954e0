"""What is searched: feasible portfolios, and what each costs."""

from dataclasses import dataclass

import numpy as np

from optimization.engine.feasible import FeasibleSet
from optimization.engine.measures import CostFunction
from optimization.engine.problem import TRADING_DAYS, FloatArray, Objective
from optimization.engine.projection import project


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
        feasible: Where it is defined.
        cost: Maps (p, n) to (p,).
    """

    objective: Objective
    feasible: FeasibleSet
    cost: CostFunction

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return len(self.feasible.lower)

    def evaluate(self, points: FloatArray) -> Population:
        """Bring each point to the nearest feasible portfolio, and price that."""
        weights = project(points, self.feasible)
        costs = self.cost(weights)
        return Population(weights, np.where(np.isnan(costs), np.inf, costs))

    def centre(self) -> FloatArray:
        """The feasible portfolio nearest to equal weights, shape (n,)."""
        return project(np.full(self.n_assets, 1.0 / self.n_assets), self.feasible)

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        """``count`` points spread over the feasible set, the first at its centre.

        Sparse and dense portfolios alike: Dirichlet with concentrations from 0.1 to 10.
        """
        n, lower = self.n_assets, self.feasible.lower
        concentration = 10.0 ** rng.uniform(-1.0, 1.0, (count, 1))
        shares = rng.standard_gamma(np.broadcast_to(concentration, (count, n)))
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        points = lower + shares * (self.feasible.budget_high - lower.sum())
        points[0] = self.centre()
        return np.asarray(points)

    def exchanges(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Random exchanges of weight between two assets each, shape (count, n).

        The amount is log-uniform over five decades, so that every stage of a search finds steps
        of its own size, and assets that a population has lost can come back.
        """
        rows, n = np.arange(count), self.n_assets
        amounts = 10.0 ** rng.uniform(-5.0, 0.0, count)
        steps = np.zeros((count, n))
        steps[rows, rng.integers(0, n, count)] += amounts
        steps[rows, rng.integers(0, n, count)] -= amounts
        return steps

    def in_metric(self, cost: float) -> float:
        """A cost in the units of the result's metrics: annualised, and with its natural sign."""
        return in_metric(self.objective, cost)


def in_metric(objective: Objective, cost: float) -> float:
    """A cost per period as the annual figure that the objective's metric shows.

    The variance becomes the volatility, the losses stay per period.
    """
    year = float(np.sqrt(TRADING_DAYS))
    match objective:
        case Objective.MINIMIZE_VARIANCE:
            return year * float(np.sqrt(max(cost, 0.0)))
        case Objective.MAXIMIZE_SHARPE | Objective.MAXIMIZE_SORTINO:
            return -year * cost
        case Objective.MAXIMIZE_RETURN | Objective.MAXIMIZE_CALMAR:
            return -TRADING_DAYS * cost
        case Objective.MAXIMIZE_OMEGA:
            return -cost
        case Objective.MINIMIZE_CVAR | Objective.MINIMIZE_VALUE_AT_RISK:
            return cost

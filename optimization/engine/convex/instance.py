"""A problem with its moments: what every solver of this package works on."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from optimization.engine.convex.region import Region, Row, region_of, weights_by_symbol
from optimization.engine.covariance import Covariance
from optimization.engine.lazy import lazy_property
from optimization.engine.moments import Estimate, Sums, estimate_covariance
from optimization.engine.objectives import BY_COVARIANCE
from optimization.engine.problem import TRADING_DAYS, FloatArray, Objective, Problem

VOLATILITY, TRACKING_ERROR = "constraints.target_volatility", "constraints.max_tracking_error"

TINY = float(np.finfo(np.float64).tiny)

HELD = 1e-9
"""Smallest absolute weight that counts as a position."""

NOTHING = 1e-12
"""A limit on a deviation this small, in units of a typical asset's, allows none at all."""

CONSTANT = 1e-13
"""A deviation this small beside the returns themselves is rounding."""


class Cone(NamedTuple):
    """A limit on the deviation per period of w − origin.

    Attributes:
        field: Path of the request field.
        limit: Largest deviation.
        origin: Shape (n,).
    """

    field: str
    limit: float
    origin: FloatArray


@dataclass(frozen=True)
class Instance:
    """The numbers of one problem.

    Attributes:
        problem: What was asked.
        excess: Returns over the risk-free rate, shape (T, n).
        mean: Mean excess return per period, shape (n,).
        estimate: The Σ in use, worked out at first use.
        region: The polyhedral constraints.
    """

    problem: Problem
    excess: FloatArray
    mean: FloatArray
    estimate: Estimate
    region: Region

    @property
    def covariance(self) -> Covariance:
        """The Σ in use."""
        return self.estimate.covariance

    @property
    def objective(self) -> Objective:
        """What to optimise."""
        return self.problem.objective

    @property
    def tail(self) -> float:
        """Tail probability of CVaR and its like."""
        return self.problem.constraints.cvar_confidence

    @lazy_property
    def centred(self) -> FloatArray:
        """Returns less their means, shape (T, n)."""
        return np.asarray(self.excess - self.mean)

    @lazy_property
    def gain(self) -> FloatArray:
        """The numerator of a ratio, per asset: the excess return, or the volatility.

        An asset that moves by the same every period has none, whatever rounding its mean left.
        """
        if self.objective != Objective.MAXIMIZE_DIVERSIFICATION:
            return self.mean
        volatility = np.sqrt(self.covariance.variances)
        level = np.abs(self.mean + self.problem.period_risk_free_rate)
        return np.where(volatility > CONSTANT * level, volatility, 0.0)

    @property
    def gain_costs(self) -> float:
        """How much trading costs count in a ratio's numerator."""
        return 0.0 if self.objective == Objective.MAXIMIZE_DIVERSIFICATION else 1.0

    @lazy_property
    def variance_scale(self) -> float:
        """Mean variance of the assets: the unit in which variances are compared.

        Of assets that move by the same every period it is rounding, and the returns are the unit.
        """
        variance, returns = self.covariance.mean_variance, self.return_scale**2
        return variance if variance > CONSTANT**2 * returns else returns

    @lazy_property
    def return_scale(self) -> float:
        """Root mean square excess return: the unit in which returns are compared.

        Where nothing moves it is what trading costs, or else a whole.
        """
        risk_free, squares = self.problem.period_risk_free_rate, self.problem.square_sum
        if risk_free:
            squares = float(np.vdot(self.excess, self.excess))
        if squares > 0:
            return math.sqrt(squares / self.excess.size)
        return float(self.region.costs.max()) or 1.0

    @property
    def gain_scale(self) -> float:
        """The unit in which a ratio's gain and risk are told from rounding.

        Diversification knows no risk-free rate, which may dwarf the returns.
        """
        if self.objective == Objective.MAXIMIZE_DIVERSIFICATION:
            return math.sqrt(self.variance_scale)
        return self.return_scale

    @lazy_property
    def deviations(self) -> tuple[Cone, ...]:
        """The limits on deviations."""
        constraints, year = self.problem.constraints, math.sqrt(TRADING_DAYS)
        found = []
        if constraints.target_volatility is not None:
            origin = np.zeros(self.region.n_assets)
            limit = constraints.target_volatility / year
            found.append(Cone(VOLATILITY, limit, origin))
        if constraints.max_tracking_error is not None:
            origin = weights_by_symbol(self.problem, constraints.benchmark_weights)
            limit = constraints.max_tracking_error / year
            found.append(Cone(TRACKING_ERROR, limit, origin))
        return tuple(found)

    @lazy_property
    def cones(self) -> tuple[Cone, ...]:
        """The deviations that may be more than nothing; the others are rows of the region."""
        return tuple(cone for cone in self.deviations if not self._allows_none(cone.limit))

    def _allows_none(self, limit: float) -> bool:
        return limit <= NOTHING * float(np.sqrt(self.variance_scale))

    def pinned(self) -> "Instance":
        """The same with every deviation that must be zero written as rows: G(w − origin) = 0."""
        rows: list[Row] = []
        for name, limit, origin in self.deviations:
            if not self._allows_none(limit):
                continue
            # Along a singular direction the deviation may be small, and must be zero all the same.
            _, sizes, directions = np.linalg.svd(self.covariance.root(), full_matrices=False)
            if not len(sizes):
                continue  # nothing moves, and no portfolio deviates
            least = CONSTANT * max(float(sizes[0]), math.sqrt(self.variance_scale))
            for direction in directions[sizes > least]:
                value = float(direction @ origin)
                rows.append(Row(name, f"the {name.rpartition('.')[2]}", direction, value, value))
        if not rows:
            return self
        return self.with_region(replace(self.region, rows=(*self.region.rows, *rows)))

    @property
    def uses_covariance(self) -> bool:
        """Whether the answer depends on Σ."""
        return self.objective in BY_COVARIANCE or bool(self.deviations)

    def net(self, weights: FloatArray) -> FloatArray:
        """Excess returns of a portfolio net of costs, shape (T,)."""
        return np.asarray(self.excess @ weights - self.region.cost(weights))

    def violation(self, weights: FloatArray) -> float:
        """Largest violation of any constraint; deviations are compared per year."""
        return max(self.violation_of_amounts(weights), self.violation_of_holdings(weights))

    def violation_of_holdings(self, weights: FloatArray) -> float:
        """The same of the constraints on which assets are held."""
        worst, constraints = 0.0, self.problem.constraints
        if constraints.max_assets is not None or constraints.min_position is not None:
            held = np.abs(weights[np.abs(weights) > HELD])
            if constraints.max_assets is not None:
                worst = max(worst, float(len(held) - constraints.max_assets))
            if constraints.min_position is not None and len(held):
                worst = max(worst, constraints.min_position - float(held.min()))
        return worst

    def violation_of_amounts(self, weights: FloatArray) -> float:
        """The same without the constraints on which assets are held."""
        worst, year = self.region.violation(weights), math.sqrt(TRADING_DAYS)
        for _, limit, origin in self.deviations:
            deviation = float(np.sqrt(self.covariance.variance(weights - origin)))
            worst = max(worst, year * (deviation - limit))
        return worst

    def under(self, problem: Problem) -> "Instance":
        """The same returns under another problem's constraints and objective."""
        return replace(self, problem=problem, region=region_of(problem, self.mean)).pinned()

    def without_deviations(self) -> "Instance":
        """The same without limits on deviations."""
        if not self.deviations:
            return self
        constraints = replace(
            self.problem.constraints, target_volatility=None, max_tracking_error=None
        )
        return replace(self, problem=replace(self.problem, constraints=constraints))

    def with_region(self, region: Region) -> "Instance":
        """The same numbers under other polyhedral constraints."""
        return replace(self, region=region)


def instance_of(problem: Problem, requested_covariance: object = None) -> Instance:
    """The numbers of a problem.

    Raises:
        InvalidProblemError: ``requested_covariance`` is no known estimator.
    """
    returns, mean = problem.returns, problem.mean
    estimate = estimate_covariance(returns, requested_covariance, Sums(mean, problem.square_sum))
    return instance_with(problem, estimate, mean)


def instance_with(problem: Problem, estimate: Estimate, mean_return: FloatArray) -> Instance:
    """The numbers of a problem whose moments are known already."""
    risk_free = problem.period_risk_free_rate
    excess = problem.returns - risk_free if risk_free else problem.returns
    mean = mean_return - risk_free if risk_free else mean_return
    return Instance(
        problem=problem,
        excess=excess,
        mean=mean,
        estimate=estimate,
        region=region_of(problem, mean),
    ).pinned()

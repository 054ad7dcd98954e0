"""The greatest gain per unit of a convex risk, by cutting planes.

With y = κ·(w, cost, 1) and a gain of one, a ratio becomes a linear objective (Charnes and Cooper,
*Programming with linear fractional functionals*, 1962). The risk is bounded from below by its
tangents at the portfolios met so far (Kelley, *The cutting-plane method for solving convex
programs*, 1960), so that the optimum of each linear programme is a bound that no portfolio beats,
and the last one's is the optimum.
"""

from collections.abc import Callable
from dataclasses import dataclass

import highspy
import numpy as np

from optimization.engine.convex.highs import add_row, check_optimal, new_highs
from optimization.engine.errors import UnboundedProblemError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.problem import TRADING_DAYS, FloatArray

TOLERANCE = 1e-9
"""Relative distance of a portfolio's ratio to the bound at which it is the optimum."""

ROUNDS = 500
"""Most tangents of one search; the bound stands even where they do not suffice."""

RISKLESS = 1e-9
"""A risk this small beside the first portfolio's is rounding."""

Tangent = tuple[float, FloatArray, float]
"""A convex risk of outcomes at some of them: its value, slope of shape (T,), and offset, so that
slope @ outcomes + offset is nowhere more than the risk."""

Risk = Callable[[FloatArray], Tangent]
"""Maps the outcomes of every period, shape (T,), to a tangent."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a portfolio yields in every period: linear in (w, what trading costs a year, 1).

    Attributes:
        days: Shape (T, n + 2).
        current: Weights held now, shape (n,).
        per_trade: Cost of trading a unit of each asset, shape (n,).
    """

    days: FloatArray
    current: FloatArray
    per_trade: FloatArray

    @classmethod
    def of(
        cls, returns: FloatArray, cash: float, current: FloatArray, per_trade: FloatArray
    ) -> "Outcomes":
        """Of returns, shape (T, n), to which ``cash`` is added in every period."""
        count = len(returns)
        fixed = np.column_stack([np.full(count, -1.0 / TRADING_DAYS), np.full(count, cash)])
        return cls(np.hstack([returns, fixed]), current, per_trade)

    def place(self, weights: FloatArray) -> FloatArray:
        """The portfolio as (w, cost, 1), shape (n + 2,)."""
        cost = float(self.per_trade @ np.abs(weights - self.current))
        return np.concatenate([weights, [cost, 1.0]])


@dataclass(frozen=True, slots=True)
class Line:
    """offset + slope · risk, for risks between two limits.

    Attributes:
        offset: At no risk.
        slope: At least zero.
        low: Smallest risk that counts; portfolios of less are taken to have as much.
        high: Largest risk allowed.
    """

    offset: float = 0.0
    slope: float = 1.0
    low: float = 0.0
    high: float = np.inf


@dataclass(frozen=True, slots=True)
class Vertex:
    """Where a search for the greatest gain per unit of a line ended.

    Attributes:
        weights: Shape (n,).
        gain: Mean outcome per period.
        risk: What the outcomes risk.
        bound: No portfolio has a greater gain per unit of the line.
    """

    weights: FloatArray
    gain: float
    risk: float
    bound: float


class CuttingPlanes:
    """The tangents of one risk over one feasible set; searches along several lines share them.

    Args:
        outcomes: What portfolios yield.
        risk: Convex, and lower where outcomes are higher.
        feasible: Which portfolios there are.
        start: One of them, shape (n,).
    """

    def __init__(
        self, outcomes: Outcomes, risk: Risk, feasible: FeasibleSet, start: FloatArray
    ) -> None:
        self._outcomes = outcomes
        self._risk = risk
        self._mean = outcomes.days.mean(axis=0)
        self._unit = float(np.abs(self._mean).max()) or 1.0
        place = outcomes.place(start)
        self._size = len(place)
        self._scale = risk(outcomes.days @ place)[0] or 1.0
        self._highs = new_highs()
        self._add_portfolios(feasible)
        self._add_tangent(place)

    def greatest(self, line: Line, worth: float = 0.0) -> Vertex | None:
        """The portfolio of the greatest gain per unit of a line; None if none is worth it.

        Args:
            line: Denominator of the ratio.
            worth: Give up once no portfolio can have a greater ratio.

        Raises:
            UnboundedProblemError: A portfolio gains something at no risk.
            SolverFailureError: HiGHS stopped without an answer.
        """
        self._follow(line)
        before = None
        for _ in range(ROUNDS):
            least = self._least()
            if least is None:
                return None
            value, weights = least
            bound = self._unit / value if value > 0 else np.inf
            if bound <= worth:
                return None
            place = self._outcomes.place(weights)
            gain, risk = float(self._mean @ place), self._add_tangent(place)
            height = line.offset + line.slope * max(risk, line.low)
            riskless = value <= 0 and risk <= RISKLESS * self._scale
            if riskless or height <= 0:
                raise UnboundedProblemError("a portfolio gains without any risk in the window")
            settled = before is not None and np.array_equal(weights, before)
            if settled or bound <= gain / height * (1.0 + TOLERANCE):
                break
            before = weights
        return Vertex(weights, gain, risk, bound)

    def _add_portfolios(self, feasible: FeasibleSet) -> None:
        """Columns y, then the trades, then the risk; rows that make y/κ a portfolio."""
        highs, n = self._highs, self._size - 2
        cost, one = n, n + 1
        for _ in range(n):
            highs.addVar(-np.inf, np.inf)
        costly = np.flatnonzero(self._outcomes.per_trade)
        highs.addVar(0.0, np.inf if costly.size else 0.0)
        highs.addVar(0.0, np.inf)
        self._risk_column = self._size
        highs.addVar(0.0, np.inf)
        add_row(highs, np.arange(self._size), self._mean / self._unit, 1.0, 1.0)
        for asset in range(n):
            bounds = feasible.lower[asset], feasible.upper[asset]
            add_row(highs, [asset, one], [1.0, -bounds[0]], 0.0, np.inf)
            add_row(highs, [asset, one], [1.0, -bounds[1]], -np.inf, 0.0)
        total = [*range(n), one]
        add_row(highs, total, [*np.ones(n), -feasible.budget_low], 0.0, np.inf)
        add_row(highs, total, [*np.ones(n), -feasible.budget_high], -np.inf, 0.0)
        for asset in costly.tolist():
            traded, current = highs.getNumCol(), float(self._outcomes.current[asset])
            highs.addVar(0.0, np.inf)
            add_row(highs, [traded, asset, one], [1.0, -1.0, current], 0.0, np.inf)
            add_row(highs, [traded, asset, one], [1.0, 1.0, -current], 0.0, np.inf)
        if costly.size:
            trades = [*range(self._risk_column + 1, highs.getNumCol()), cost]
            prices = [*self._outcomes.per_trade[costly], -1.0]
            add_row(highs, trades, prices, -np.inf, 0.0)
        self._low_row, self._high_row = highs.getNumRow(), highs.getNumRow() + 1
        for _ in range(2):
            add_row(highs, [self._risk_column, one], [1.0, 0.0], -np.inf, np.inf)

    def _add_tangent(self, place: FloatArray) -> float:
        """Bound the risk by its tangent at a portfolio; its risk."""
        days = self._outcomes.days
        risk, slope, offset = self._risk(days @ place)
        tangent = slope @ days
        tangent[-1] += offset
        columns = [*range(self._size), self._risk_column]
        add_row(self._highs, columns, [*(tangent / self._scale), -1.0], -np.inf, 0.0)
        return risk

    def _follow(self, line: Line) -> None:
        """Minimise the line between its limits."""
        highs, one = self._highs, self._size - 1
        highs.changeColCost(one, line.offset)
        highs.changeColCost(self._risk_column, line.slope * self._scale)
        highs.changeCoeff(self._low_row, one, -line.low / self._scale)
        highs.changeRowBounds(self._low_row, 0.0, np.inf)
        limited = bool(np.isfinite(line.high))
        highs.changeCoeff(self._high_row, one, -line.high / self._scale if limited else 0.0)
        highs.changeRowBounds(self._high_row, -np.inf, 0.0 if limited else np.inf)
        highs.clearSolver()  # the basis of another line may be singular on this one

    def _least(self) -> tuple[float, FloatArray] | None:
        """The line at a gain of one unit, and the portfolio there; None if none gains anything."""
        highs = self._highs
        highs.run()
        if highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
            return None
        check_optimal(highs)
        y = np.array(highs.getSolution().col_value[: self._size])
        return float(highs.getInfo().objective_function_value), y[:-2] / y[-1]

"""The polyhedral part of a problem's constraints, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.feasible import asset_bounds
from optimization.engine.lazy import lazy_property
from optimization.engine.problem import TRADING_DAYS, FloatArray, Problem

ROUNDING = 1e-12
"""How far a sum of bounds may miss the budget: 5 × 0.2 need not be exactly 1."""


@dataclass(frozen=True)
class Row:
    """low ≤ coefficients'w ≤ high, with the request field that asks for it.

    Attributes:
        field: Path of the request field.
        label: How a sentence calls the limited quantity, e.g. ``"group energy"``.
        coefficients: Shape (n,).
        low: Smallest value, or −inf.
        high: Largest value, or inf.
        unit: Size of one unit of the request field in units of the row.
    """

    field: str
    label: str
    coefficients: FloatArray
    low: float
    high: float
    unit: float = 1.0


@dataclass(frozen=True)
class Region:
    """Bounds, budget and rows on w, and limits on traded and absolute weights.

    Attributes:
        lower: Shape (n,).
        upper: Shape (n,).
        budget_low: Smallest sum of the weights.
        budget_high: Largest sum of the weights.
        rows: Further linear constraints; with costs, their smallest value is net of costs.
        current: Weights held now, shape (n,).
        costs: Cost per unit traded and period, shape (n,).
        turnover: Largest Σ|w − current|, or inf.
        leverage: Largest Σ|w|, or inf.
    """

    lower: FloatArray
    upper: FloatArray
    budget_low: float
    budget_high: float
    rows: tuple[Row, ...]
    current: FloatArray
    costs: FloatArray
    turnover: float = np.inf
    leverage: float = np.inf

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return len(self.lower)

    @lazy_property
    def has_costs(self) -> bool:
        """Whether trading costs anything."""
        return bool(self.costs.any())

    @lazy_property
    def trades(self) -> bool:
        """Whether traded amounts matter: a limit on them or a cost."""
        return self.has_costs or self.turnover < np.inf

    @lazy_property
    def is_box(self) -> bool:
        """Whether bounds and budget are all there is."""
        return not self.rows and self.is_linear

    @lazy_property
    def is_linear(self) -> bool:
        """Whether the constraints are linear in w without auxiliary variables."""
        return not self.trades and self.leverage == np.inf

    @lazy_property
    def matrix(self) -> FloatArray:
        """Coefficients of the rows, shape (m, n)."""
        if not self.rows:
            return np.zeros((0, self.n_assets))
        return np.array([row.coefficients for row in self.rows])

    @lazy_property
    def is_long(self) -> bool:
        """Whether no weight may be negative."""
        return bool((self.lower >= 0).all())

    @lazy_property
    def room(self) -> FloatArray:
        """How far each weight can rise from its smallest, shape (n,)."""
        return self.upper - self.lower

    @lazy_property
    def least(self) -> float:
        """Sum of the smallest weights, or inf where bounds cross and there are no weights."""
        return float(self.lower.sum()) if float(self.room.min()) >= 0 else np.inf

    @lazy_property
    def limits(self) -> "RowLimits":
        """The budget and the rows as one system, the budget first."""
        budget = np.ones((1, self.n_assets))
        return RowLimits(
            matrix=np.vstack([budget, self.matrix]) if self.rows else budget,
            low=np.array([self.budget_low, *(row.low for row in self.rows)]),
            high=np.array([self.budget_high, *(row.high for row in self.rows)]),
        )

    @lazy_property
    def only_portfolio(self) -> FloatArray | None:
        """The one portfolio that bounds and budget leave, or None if they leave several."""
        for ends, budget in ((self.lower, self.budget_high), (self.upper, self.budget_low)):
            if abs(float(ends.sum()) - budget) <= ROUNDING:
                return ends
        fixed = bool((self.upper - self.lower <= ROUNDING).all())
        return self.lower if fixed else None

    def without_trades(self) -> "Region":
        """The larger region in which trades are free and neither they nor leverage limited."""
        if self.is_linear:
            return self
        return replace(self, costs=np.zeros(self.n_assets), turnover=np.inf, leverage=np.inf)

    def cost(self, weights: FloatArray) -> float:
        """Cost per period of trading from the current weights."""
        return float(self.costs @ np.abs(weights - self.current)) if self.has_costs else 0.0

    def violation(self, weights: FloatArray) -> float:
        """Largest violation of any constraint by one portfolio, shape (n,)."""
        total = float(weights.sum())
        worst = max(
            0.0,
            float((self.lower - weights).max()),
            float((weights - self.upper).max()),
            self.budget_low - total,
            total - self.budget_high,
        )
        if self.turnover < np.inf:
            worst = max(worst, float(np.abs(weights - self.current).sum()) - self.turnover)
        if self.leverage < np.inf:
            worst = max(worst, float(np.abs(weights).sum()) - self.leverage)
        for row in self.rows:
            value = float(row.coefficients @ weights)
            worst = max(worst, row.low - value + self._cost_of(row, weights), value - row.high)
        return worst

    def _cost_of(self, row: Row, weights: FloatArray) -> float:
        return self.cost(weights) if row.field == TARGET_RETURN else 0.0


@dataclass(frozen=True)
class RowLimits:
    """low ≤ matrix·w ≤ high.

    Attributes:
        matrix: Shape (m, n).
        low: Shape (m,).
        high: Shape (m,).
    """

    matrix: FloatArray
    low: FloatArray
    high: FloatArray


TARGET_RETURN = "constraints.target_return"


def weights_by_symbol(problem: Problem, weights: Mapping[str, float] | None) -> FloatArray:
    """A mapping from symbols to weights as an array of shape (n,); absent symbols are 0."""
    if not weights:
        return np.zeros(problem.n_assets)
    return np.array([weights.get(symbol, 0.0) for symbol in problem.symbols])


def region_of(problem: Problem, mean_excess: FloatArray) -> Region:
    """The polyhedral constraints of a problem; costs and rates per period."""
    constraints = problem.constraints
    lower, upper = asset_bounds(problem)
    costs, nothing = constraints.transaction_costs, np.zeros(problem.n_assets)
    if isinstance(costs, Mapping):
        per_trade = weights_by_symbol(problem, costs) / TRADING_DAYS
    else:
        per_trade = nothing + costs / TRADING_DAYS if costs else nothing
    current = constraints.current_weights
    return Region(
        lower=lower,
        upper=upper,
        budget_low=1.0 if constraints.sum_to_one else -np.inf,
        budget_high=1.0,
        rows=_rows(problem, mean_excess),
        current=weights_by_symbol(problem, current) if current else nothing,
        costs=per_trade,
        turnover=np.inf if constraints.max_turnover is None else constraints.max_turnover,
        leverage=np.inf if constraints.max_leverage is None else constraints.max_leverage,
    )


def _rows(problem: Problem, mean_excess: FloatArray) -> tuple[Row, ...]:
    constraints = problem.constraints
    rows = []
    for position, group in enumerate(constraints.groups):
        members = set(group.symbols)
        rows.append(
            Row(
                field=f"constraints.groups[{position}]",
                label=f"group {group.name}",
                coefficients=np.array([float(symbol in members) for symbol in problem.symbols]),
                low=-np.inf if group.min_weight is None else group.min_weight,
                high=np.inf if group.max_weight is None else group.max_weight,
            )
        )
    if constraints.target_return is not None:
        rows.append(
            Row(
                field=TARGET_RETURN,
                label="the expected return",
                coefficients=mean_excess,
                low=(constraints.target_return - problem.risk_free_rate) / TRADING_DAYS,
                high=np.inf,
                unit=1 / TRADING_DAYS,
            )
        )
    return tuple(rows)

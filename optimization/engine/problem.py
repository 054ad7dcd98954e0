"""The values that go into the engine and come out of it: frozen, and checked when built."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from optimization.engine.constraints import AssetBounds, Constraints, Group
from optimization.engine.errors import InvalidProblemError
from optimization.engine.sums import mean_and_squares

__all__ = [
    "TRADING_DAYS",
    "AssetBounds",
    "BindingConstraint",
    "Constraints",
    "Description",
    "FloatArray",
    "Group",
    "Method",
    "Objective",
    "OnProgress",
    "Problem",
    "Progress",
    "Solution",
]

FloatArray = npt.NDArray[np.float64]

TRADING_DAYS = 252
"""Periods a year: daily means are multiplied by it, daily deviations by its square root."""


class Method(StrEnum):
    """The six optimisation methods of the wire."""

    MEAN_VARIANCE = "mean_variance"
    GENETIC_ALGORITHM = "genetic_algorithm"
    SIMULATED_ANNEALING = "simulated_annealing"
    PARTICLE_SWARM = "particle_swarm"
    VQE = "vqe"
    QAOA = "qaoa"


class Objective(StrEnum):
    """What a portfolio is optimised for."""

    MAXIMIZE_SHARPE = "maximize_sharpe"
    MINIMIZE_VARIANCE = "minimize_variance"
    MAXIMIZE_RETURN = "maximize_return"
    MINIMIZE_CVAR = "minimize_cvar"
    MAXIMIZE_SORTINO = "maximize_sortino"
    MINIMIZE_VALUE_AT_RISK = "minimize_value_at_risk"
    MAXIMIZE_OMEGA = "maximize_omega"
    MAXIMIZE_CALMAR = "maximize_calmar"
    MAXIMIZE_UTILITY = "maximize_utility"
    MAXIMIZE_DIVERSIFICATION = "maximize_diversification"
    MINIMIZE_MAD = "minimize_mad"
    MINIMIZE_CDAR = "minimize_cdar"
    MINIMIZE_MAX_DRAWDOWN = "minimize_max_drawdown"
    RISK_PARITY = "risk_parity"
    HIERARCHICAL_RISK_PARITY = "hierarchical_risk_parity"
    EQUAL_WEIGHT = "equal_weight"
    INVERSE_VOLATILITY = "inverse_volatility"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One portfolio problem: what happened, what is wanted, what is allowed.

    Attributes:
        returns: Simple returns per period, shape (T, n), oldest row first.
        symbols: The n asset names, in the order of the columns.
        objective: What to optimise.
        constraints: What to satisfy.
        risk_free_rate: Yearly, as a fraction; divided by 252 for one period.
        risk_aversion: λ of the utility, mean − λ/2 · variance.
        risk_budgets: Share of the risk that each asset may carry under risk parity, by symbol;
            the rest is shared equally. None shares all of it equally.
        prices: Price of one share of each asset, shape (n,); needed for whole shares only.
        mean: Mean return of each asset per period, shape (n,).
        square_sum: Σ of all squared returns, a scale that many steps ask for.
    """

    returns: FloatArray
    symbols: tuple[str, ...]
    objective: Objective = Objective.MAXIMIZE_SHARPE
    constraints: Constraints = field(default_factory=Constraints)
    risk_free_rate: float = 0.0
    risk_aversion: float = 1.0
    risk_budgets: Mapping[str, float] | None = None
    prices: FloatArray | None = None
    mean: FloatArray = field(init=False, repr=False, compare=False)
    square_sum: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        returns = np.ascontiguousarray(self.returns, dtype=np.float64)
        if returns.ndim != 2 or returns.shape[1] == 0:
            raise InvalidProblemError(
                f"returns has shape {returns.shape}; expected (T, n)", ["symbols"]
            )
        observations, assets = returns.shape
        if len(self.symbols) != assets:
            raise InvalidProblemError(
                f"{len(self.symbols)} symbols for {assets} columns of returns", ["symbols"]
            )
        if len(set(self.symbols)) != assets:
            raise InvalidProblemError("symbols holds the same symbol twice", ["symbols"])
        for symbol, path in self.constraints.mentioned():
            if symbol not in self.symbols:
                raise InvalidProblemError(
                    f"{path} names {symbol}, which is not among the symbols; add it there or"
                    " leave it out here",
                    [path, "symbols"],
                )
        if observations < 2:
            raise InvalidProblemError(
                f"{observations} return(s) in the window; at least 2 are needed to measure risk",
                ["parameters.lookback"],
            )
        # A sum of squares is finite only if every return is.
        mean, square_sum = mean_and_squares(returns)
        if not math.isfinite(square_sum) and not np.isfinite(returns).all():
            column = int(np.flatnonzero(~np.isfinite(returns).all(axis=0))[0])
            raise InvalidProblemError(
                f"the returns of {self.symbols[column]} hold a missing or infinite value",
                [f"symbols[{column}]"],
            )
        if not np.isfinite(self.risk_free_rate):
            raise InvalidProblemError("risk_free_rate is not a number", ["risk_free_rate"])
        self._check_preferences()
        self._check_prices()
        returns = returns.view()  # the caller's own array stays as writable as it was
        returns.flags.writeable = False
        object.__setattr__(self, "returns", returns)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "square_sum", square_sum)
        object.__setattr__(self, "symbols", tuple(self.symbols))

    def over(self, returns: FloatArray, mean: FloatArray, square_sum: float) -> Self:
        """The same over another window of as many returns, known to be finite, and its sums."""
        returns = returns.view()
        returns.flags.writeable = False
        changed = {"returns": returns, "mean": mean, "square_sum": square_sum}
        # copy.copy takes a third of the time that the best return of another row does.
        moved = object.__new__(type(self))
        for name in self.__slots__:
            value = changed[name] if name in changed else getattr(self, name)
            object.__setattr__(moved, name, value)
        return moved

    def _check_preferences(self) -> None:
        if not 0 < self.risk_aversion < np.inf:
            raise InvalidProblemError(
                f"risk_aversion is {self.risk_aversion:g}; it is greater than 0",
                ["parameters.risk_aversion"],
            )
        if self.risk_budgets is None:
            return
        for symbol, share in self.risk_budgets.items():
            if symbol not in self.symbols or not 0 < share < 1:
                raise InvalidProblemError(
                    f"the risk budget of {symbol} is {share:g}; it belongs to one of the symbols"
                    " and lies between 0 and 1",
                    [f"parameters.risk_budgets.{symbol}"],
                )
        total, some = sum(self.risk_budgets.values()), len(self.risk_budgets)
        if total > 1 + 1e-12 or (some == len(self.symbols) and total < 1 - 1e-12):
            raise InvalidProblemError(
                f"the risk budgets sum to {total:g}; they sum to 1", ["parameters.risk_budgets"]
            )

    def _check_prices(self) -> None:
        if self.prices is None:
            if self.constraints.lot_size is not None:
                raise InvalidProblemError(
                    "lot_size needs the prices of the assets", ["constraints.lot_size"]
                )
            return
        prices = np.asarray(self.prices, dtype=np.float64)
        if prices.shape != (len(self.symbols),) or not (np.isfinite(prices) & (prices > 0)).all():
            raise InvalidProblemError(
                "prices needs one positive number per symbol", ["constraints.lot_size"]
            )
        object.__setattr__(self, "prices", prices)

    @property
    def n_assets(self) -> int:
        """Number of assets n."""
        return len(self.symbols)

    @property
    def n_observations(self) -> int:
        """Number of return rows T."""
        return int(self.returns.shape[0])

    @property
    def period_risk_free_rate(self) -> float:
        """Risk-free rate of one period."""
        return self.risk_free_rate / TRADING_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a running solver reports.

    Attributes:
        iteration: Iterations done.
        evaluations: Objective evaluations done.
        best_value: Best objective value so far, in the units of the result's metrics.
        bound: Certified bound on the objective, or None while none is known.
        gap: Relative gap of ``best_value`` to ``bound``, or None.
        elapsed: Seconds since the solver started.
        weights: The best weights so far, shape (n,).
    """

    iteration: int
    evaluations: int
    best_value: float
    bound: float | None
    gap: float | None
    elapsed: float
    weights: FloatArray


OnProgress = Callable[[Progress], None]
"""Called by a solver as it goes; raising ``SolveCancelledError`` from it stops the solver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingConstraint:
    """A constraint that holds the optimum back.

    Attributes:
        name: Path of the request field, e.g. ``"constraints.max_weight"``.
        symbol: The asset it holds, or None for a portfolio-wide constraint.
        bound: The limit's value.
        shadow_price: Improvement of the objective (in its metric's units) per unit of relaxation.
        sentence: The same in plain words.
    """

    name: str
    symbol: str | None
    bound: float
    shadow_price: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a portfolio is like, for those who ask.

    Attributes:
        metrics: Annualised figures: ``expected_return``, ``expected_volatility``,
            ``sharpe_ratio``, ``sortino_ratio``, ``omega_ratio``, ``calmar_ratio``,
            ``value_at_risk``, ``cvar``, ``max_drawdown`` (VaR, CVaR and drawdown as positive
            fractions, per day). A ratio whose denominator is zero is None.
        binding: Constraints that hold the optimum back, with their shadow prices.
        risk_contributions: Share of the portfolio's variance per asset, shape (n,), summing to 1.
    """

    metrics: Mapping[str, float | None]
    binding: tuple[BindingConstraint, ...] = ()
    risk_contributions: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Weights with the evidence for them.

    Attributes:
        weights: Fractions of capital, shape (n,), in the order of the problem's symbols.
        solver: Which solver gave the weights, e.g. ``"daqp"`` or ``"cvxpy/clarabel"``.
        solve_time: Seconds spent solving, the description left out.
        optimality_gap: Certified relative distance to the optimum, or None where no bound exists.
        max_violation: Largest violation of any constraint.
        describe: Works out the description; it holds on to the numbers it needs.
        covariance: ``"sample"`` or ``"ledoit_wolf"``.
        diagnostics: Method-specific facts (seed, evaluations, stopped_by, qubits …), JSON-ready.
    """

    weights: FloatArray
    solver: str
    solve_time: float
    optimality_gap: float | None
    describe: Callable[[], Description]
    max_violation: float = 0.0
    covariance: str = "sample"
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def description(self) -> Description:
        """Metrics, binding constraints and risk contributions, worked out when first asked for.

        Weights are wanted by every caller and words by few: they cost more than a solve.
        """
        return self.describe()

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The description's figures."""
        return self.description.metrics

    @property
    def binding(self) -> tuple[BindingConstraint, ...]:
        """The description's binding constraints."""
        return self.description.binding

    @property
    def risk_contributions(self) -> FloatArray | None:
        """The description's shares of the variance per asset."""
        return self.description.risk_contributions

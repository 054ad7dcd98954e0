"""All watched portfolios at once: their quantities after a tick, in a few vectorised passes.

The history of every portfolio is folded into a handful of numbers when the book is built
(per data version), so that a tick costs one gather over the holdings and no pass over the days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimization.engine.problem import TRADING_DAYS, FloatArray
from optimization.watching.rules import Quantity

TAIL = 0.05
"""Tail probability of the value at risk and the CVaR that rules name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One portfolio as the book takes it in.

    Attributes:
        symbols: What it holds, n of them.
        shares: Shares of each, shape (n,).
        targets: Weights that the last optimisation asked for, shape (n,).
        base_prices: Prices at the last optimisation, shape (n,).
        returns: Its symbols' daily returns over the window, shape (T, n).
        last_closes: Closes behind the last of them, shape (n,).
        correlation_change: Mean absolute change of correlations since the last optimisation.
    """

    symbols: tuple[str, ...]
    shares: FloatArray
    targets: FloatArray
    base_prices: FloatArray
    returns: FloatArray
    last_closes: FloatArray
    correlation_change: float = 0.0


@dataclass(frozen=True, slots=True)
class History:
    """What a tick needs to know of one portfolio's past returns at its present weights.

    Attributes:
        count: Days T.
        total: Sum of the returns.
        squares: Sum of their squares.
        worst: The k + 1 smallest returns in ascending order, for the tail of T + 1 days.
        wealth: Wealth at the end of the window, from 1 at its beginning.
        peak: Highest wealth so far.
    """

    count: int
    total: float
    squares: float
    worst: FloatArray
    wealth: float
    peak: float


def fold_history(position: Position) -> History:
    """Fold the returns of a portfolio at its present weights (rebalanced daily)."""
    values = position.shares * position.last_closes
    weights = values / values.sum()
    daily = position.returns @ weights
    wealth = np.cumprod(1.0 + daily)
    kept = int(np.floor(TAIL * (len(daily) + 1) + 1e-9)) + 1
    return History(
        count=len(daily),
        total=float(daily.sum()),
        squares=float(daily @ daily),
        worst=np.sort(daily)[:kept],
        wealth=float(wealth[-1]),
        peak=max(1.0, float(wealth.max())),
    )


class Book:
    """Quantities of N portfolios, updated tick by tick.

    Args:
        positions: The portfolios; their order is the order of every array returned.
        universe: Every symbol that a price array will have a column for.
    """

    def __init__(self, positions: Sequence[Position], universe: Sequence[str]) -> None:
        column = {symbol: i for i, symbol in enumerate(universe)}
        sizes = np.array([len(position.symbols) for position in positions])
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
        self._columns = np.array([column[s] for p in positions for s in p.symbols], dtype=np.intp)
        self._owner = np.repeat(np.arange(len(positions)), sizes)
        self._shares = np.concatenate([p.shares for p in positions])
        self._targets = np.concatenate([p.targets for p in positions])
        self._base_prices = np.concatenate([p.base_prices for p in positions])
        closes = self._shares * np.concatenate([p.last_closes for p in positions])
        self._close_values = np.add.reduceat(closes, self._starts)
        self._correlation_change = np.array([p.correlation_change for p in positions])
        self._fold([fold_history(position) for position in positions])

    def _fold(self, histories: Sequence[History]) -> None:
        self._counts = np.array([h.count for h in histories], dtype=np.float64)
        self._totals = np.array([h.total for h in histories])
        self._squares = np.array([h.squares for h in histories])
        self._wealth = np.array([h.wealth for h in histories])
        self._peaks = np.array([h.peak for h in histories])
        widest = max(len(h.worst) for h in histories)
        self._worst = np.full((len(histories), widest), np.inf)
        for row, history in enumerate(histories):
            self._worst[row, : len(history.worst)] = history.worst

    def replace(self, row: int, position: Position) -> None:
        """Take one portfolio in anew, of the same symbols, e.g. after it was optimised."""
        start = self._starts[row]
        span = slice(start, start + len(position.symbols))
        self._shares[span] = position.shares
        self._targets[span] = position.targets
        self._base_prices[span] = position.base_prices
        self._close_values[row] = position.shares @ position.last_closes
        self._correlation_change[row] = position.correlation_change
        history = fold_history(position)
        self._counts[row], self._totals[row] = history.count, history.total
        self._squares[row] = history.squares
        self._wealth[row], self._peaks[row] = history.wealth, history.peak
        self._worst[row] = np.inf
        self._worst[row, : len(history.worst)] = history.worst

    def quantities(self, prices: FloatArray) -> Mapping[Quantity, FloatArray]:
        """Every quantity of every portfolio at these prices.

        Args:
            prices: Newest price per symbol of the universe, NaN where there is none.

        Returns:
            Arrays of shape (N,); NaN where a price that it needs is unknown.
        """
        now = prices[self._columns]
        values = self._shares * now
        totals = np.add.reduceat(values, self._starts)
        base_totals = np.add.reduceat(self._shares * self._base_prices, self._starts)
        weights = values / totals[self._owner]
        live = totals / self._close_values - 1.0
        tail = self._tail(live)
        return {
            Quantity.PRICE_CHANGE: np.maximum.reduceat(
                np.abs(now / self._base_prices - 1.0), self._starts
            ),
            Quantity.VALUE_CHANGE: totals / base_totals - 1.0,
            Quantity.DRIFT: np.maximum.reduceat(np.abs(weights - self._targets), self._starts),
            Quantity.CONCENTRATION: np.maximum.reduceat(np.abs(weights), self._starts),
            Quantity.VOLATILITY: self._volatility(live),
            Quantity.VALUE_AT_RISK: tail[0],
            Quantity.CVAR: tail[1],
            Quantity.DRAWDOWN: self._drawdown(live),
            Quantity.CORRELATION_CHANGE: self._correlation_change,
        }

    def _volatility(self, live: FloatArray) -> FloatArray:
        count = self._counts + 1.0
        total, squares = self._totals + live, self._squares + live**2
        spread = np.maximum(squares - total**2 / count, 0.0) / (count - 1.0)
        return np.asarray(np.sqrt(TRADING_DAYS * spread))

    def _tail(self, live: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value at risk and CVaR over the window and today, from the worst days alone."""
        days = np.sort(np.concatenate([self._worst, live[:, np.newaxis]], axis=1), axis=1)
        weight = TAIL * (self._counts + 1.0)
        whole = np.floor(weight + 1e-9).astype(np.intp)
        rows = np.arange(len(live))
        cumulated = np.concatenate([np.zeros((len(live), 1)), np.cumsum(days, axis=1)], axis=1)
        next_worst = days[rows, whole]
        total = cumulated[rows, whole] + (weight - whole) * next_worst
        cvar = np.where(whole > 0, -total / np.maximum(weight, 1e-300), -days[:, 0])
        unknown = np.isnan(live)
        return np.where(unknown, np.nan, -next_worst), np.where(unknown, np.nan, cvar)

    def _drawdown(self, live: FloatArray) -> FloatArray:
        wealth = self._wealth * (1.0 + live)
        return np.asarray(1.0 - wealth / np.maximum(self._peaks, wealth))

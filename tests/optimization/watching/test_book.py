"""The quantities of watched portfolios against a plain pandas computation."""

import numpy as np
import pandas as pd
import pytest

from optimization.engine.problem import FloatArray
from optimization.watching.book import TAIL, Book, Position
from optimization.watching.rules import Quantity

UNIVERSE = ("AAPL", "JPM", "KO", "MSFT", "PFE", "XOM")


@pytest.fixture(scope="module")
def closes(sample: list) -> pd.DataFrame:  # type: ignore[type-arg]  # histories of the sample
    """Real closes of the universe, one column per symbol."""
    columns = {
        history.symbol: pd.Series(history.closes, index=history.dates)
        for history in sample
        if history.symbol in UNIVERSE
    }
    return pd.DataFrame(columns)[list(UNIVERSE)].iloc[-253:]


def positions(closes: pd.DataFrame, count: int) -> list[Position]:
    rng = np.random.default_rng(5)
    returns = closes.pct_change().iloc[1:]
    made = []
    for _ in range(count):
        symbols = tuple(rng.choice(UNIVERSE, size=rng.integers(1, 7), replace=False))
        days = int(rng.integers(40, 253))
        made.append(
            Position(
                symbols=symbols,
                shares=rng.uniform(1, 100, len(symbols)),
                targets=rng.dirichlet(np.ones(len(symbols))),
                base_prices=closes[list(symbols)].iloc[-1].to_numpy() * rng.uniform(0.9, 1.1),
                returns=returns[list(symbols)].to_numpy()[-days:],
                last_closes=closes[list(symbols)].iloc[-1].to_numpy(),
            )
        )
    return made


def reference(position: Position, now: pd.Series) -> dict[Quantity, float]:
    """The same quantities, one portfolio at a time, by their definitions."""
    prices = now[list(position.symbols)].to_numpy()
    weights_then = position.shares * position.last_closes
    weights_then = weights_then / weights_then.sum()
    live = (position.shares @ prices) / (position.shares @ position.last_closes) - 1.0
    daily = pd.Series(np.append(position.returns @ weights_then, live))
    wealth = (1.0 + daily).cumprod()
    weights = position.shares * prices / (position.shares @ prices)
    losses = (-daily).sort_values(ascending=False).to_numpy()
    weight = TAIL * len(losses)
    whole = int(np.floor(weight + 1e-9))
    tail = losses[:whole].sum() + (weight - whole) * losses[whole]
    return {
        Quantity.PRICE_CHANGE: float(np.abs(prices / position.base_prices - 1).max()),
        Quantity.VALUE_CHANGE: float(
            (position.shares @ prices) / (position.shares @ position.base_prices) - 1
        ),
        Quantity.DRIFT: float(np.abs(weights - position.targets).max()),
        Quantity.CONCENTRATION: float(weights.max()),
        Quantity.VOLATILITY: float(daily.std(ddof=1) * np.sqrt(252)),
        Quantity.VALUE_AT_RISK: float(losses[whole]),
        Quantity.CVAR: float(tail / weight if whole else losses[0]),
        Quantity.DRAWDOWN: float(1 - wealth.iloc[-1] / max(1.0, wealth.max())),
        Quantity.CORRELATION_CHANGE: position.correlation_change,
    }


def ticked(closes: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    return closes.iloc[-1] * (1 + rng.normal(0, 0.03, len(UNIVERSE)))


def test_every_quantity_of_every_portfolio_is_what_pandas_says(closes: pd.DataFrame) -> None:
    portfolios = positions(closes, 60)
    now = ticked(closes, np.random.default_rng(1))
    found = Book(portfolios, UNIVERSE).quantities(now.to_numpy())
    for row, position in enumerate(portfolios):
        for quantity, expected in reference(position, now).items():
            assert found[quantity][row] == pytest.approx(expected, abs=1e-12), quantity


def test_a_replaced_portfolio_counts_as_if_it_had_been_there_from_the_start(
    closes: pd.DataFrame,
) -> None:
    portfolios = positions(closes, 12)
    newer = Position(
        symbols=portfolios[4].symbols,
        shares=portfolios[4].shares * 3.0,
        targets=portfolios[4].targets[::-1].copy(),
        base_prices=portfolios[4].base_prices * 1.02,
        returns=portfolios[4].returns[-30:],
        last_closes=portfolios[4].last_closes,
        correlation_change=0.2,
    )
    book = Book(portfolios, UNIVERSE)
    book.replace(4, newer)
    fresh = Book([*portfolios[:4], newer, *portfolios[5:]], UNIVERSE)
    now = ticked(closes, np.random.default_rng(2)).to_numpy()
    for quantity, expected in fresh.quantities(now).items():
        np.testing.assert_allclose(book.quantities(now)[quantity], expected, atol=1e-12)


def test_a_portfolio_without_a_price_has_no_quantities_that_need_it(closes: pd.DataFrame) -> None:
    portfolios = positions(closes, 12)
    now = ticked(closes, np.random.default_rng(3))
    now["AAPL"] = np.nan
    found = Book(portfolios, UNIVERSE).quantities(now.to_numpy())
    lacking = np.array(["AAPL" in position.symbols for position in portfolios])
    assert 0 < lacking.sum() < len(lacking)
    for quantity in set(Quantity) - {Quantity.CORRELATION_CHANGE}:
        values: FloatArray = found[quantity]
        assert np.isnan(values[lacking]).all(), quantity
        assert np.isfinite(values[~lacking]).all(), quantity

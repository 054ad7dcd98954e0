"""Watched portfolios: begun, changed by results, ended, and how they stand."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.utils import timezone

from marketdata.errors import MarketDataError
from marketdata.quotes import Quote, latest_quotes
from marketdata.redis_client import redis_client, redis_key
from marketdata.selectors import ReturnWindow, return_window
from optimization import rows
from optimization.engine.errors import EngineError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.problem import Constraints, FloatArray, Method, Objective, Problem
from optimization.engine.registry import check_available
from optimization.errors import InvalidRequestError, UnknownPortfolioError
from optimization.models import OptimizationRequest, Portfolio, Status
from optimization.parameters import DataParameters
from optimization.solving.problems import market_data_error
from optimization.submissions import Owner, constraints_document
from optimization.watching.book import Book, Position
from optimization.watching.rules import RULES, Rule

DEFAULT_CAPITAL = 100_000.0
"""Value of a portfolio whose owner gave no holdings."""

CORRELATION_DAYS = 60
"""Days over which correlations are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOrder:
    """What an owner wants watched.

    Attributes:
        owner: Whose portfolio it is.
        name: What people call it.
        symbols: What it holds or may hold.
        holdings: Shares per symbol; the portfolio keeps them until told otherwise.
        weights: Or weights per symbol of a paper portfolio, which follows every result.
        objective: As in a request.
        constraints: As in a request.
        method: As in a request.
        parameters: As in a request.
        rules: What makes it be optimised again.
    """

    owner: Owner
    name: str
    symbols: tuple[str, ...]
    holdings: Mapping[str, float] | None = None
    weights: Mapping[str, float] | None = None
    objective: Objective = Objective.MAXIMIZE_SHARPE
    constraints: Constraints = field(default_factory=Constraints)
    method: Method = Method.MEAN_VARIANCE
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class PortfolioStanding:
    """How a portfolio stands at the newest prices.

    Attributes:
        value: In currency.
        weights: Per symbol, now.
        target_weights: Per symbol, of the last result.
        quantities: What its rules may name, as fractions; None where a price is unknown.
        simulated: Whether any of its prices is simulated.
    """

    value: float
    weights: dict[str, float]
    target_weights: dict[str, float]
    quantities: dict[str, float | None]
    simulated: bool


def portfolio_watch(order: WatchOrder) -> Portfolio:
    """Begin to watch a portfolio.

    Raises:
        RequestError: Its symbols, constraints, holdings or rules are not sound.
    """
    window = check_order(order)
    prices = current_prices(window)
    shares, targets = _opening(order, prices)
    portfolio = Portfolio.objects.create(
        portfolio_id=f"pf_{secrets.token_hex(8)}",
        owner=order.owner.key,
        user_id=order.owner.user_id,
        name=order.name,
        symbols=list(order.symbols),
        shares=shares.tolist(),
        follows=order.holdings is None,
        target_weights=targets.tolist(),
        objective=order.objective.value,
        constraints=constraints_document(order.constraints),
        method=order.method.value,
        parameters=dict(order.parameters),
        rules=RULES.dump_python(list(order.rules), mode="json", exclude_none=True),
        base_prices=prices.tolist(),
        base_data_version=window.data_version,
    )
    announce_change()
    return portfolio


def portfolio_change(portfolio: Portfolio, order: WatchOrder, *, active: bool) -> None:
    """Change what a portfolio is optimised for, and when; what it holds stays.

    Raises:
        RequestError: Its constraints, parameters or rules are not sound.
    """
    check_order(order)
    # Only these columns: a result that comes in the meantime keeps its own.
    Portfolio.objects.filter(pk=portfolio.pk).update(
        name=order.name,
        active=active,
        objective=order.objective.value,
        constraints=constraints_document(order.constraints),
        method=order.method.value,
        parameters=dict(order.parameters),
        rules=RULES.dump_python(list(order.rules), mode="json", exclude_none=True),
    )
    announce_change()


def portfolio_unwatch(owner: Owner, portfolio_id: str) -> Portfolio:
    """Stop watching a portfolio; its history stays.

    Raises:
        UnknownPortfolioError: No such portfolio, or somebody else's.
    """
    portfolio = find_portfolio(owner, portfolio_id)
    Portfolio.objects.filter(pk=portfolio.pk).update(active=False)
    portfolio.active = False
    announce_change()
    return portfolio


def find_portfolio(owner: Owner, portfolio_id: str) -> Portfolio:
    """A watched portfolio of an owner.

    Raises:
        UnknownPortfolioError: No such portfolio, or somebody else's.
    """
    portfolio = Portfolio.objects.filter(
        owner=owner.key, portfolio_id=portfolio_id, active=True
    ).first()
    if portfolio is None:
        raise UnknownPortfolioError(f"no portfolio {portfolio_id!r} of yours", ["portfolio_id"])
    return portfolio


def portfolio_take_result(
    request: OptimizationRequest, quotes: Mapping[str, Quote] | None = None
) -> None:
    """Note a result as the new target of its portfolio, and rebalance a paper one.

    Args:
        request: What has succeeded; anything else changes nothing.
        quotes: What its symbols were quoted at when it was solved; looked up when left out.
    """
    if not request.portfolio_id or request.status != Status.SUCCEEDED or request.result is None:
        return
    portfolio = rows.find_portfolio(request.portfolio_id)
    if portfolio is None:
        return
    prices = _prices_at(quotes, portfolio.symbols)
    if prices is None:
        window = return_window(portfolio.symbols, 1, request.data_version or None)
        prices = current_prices(window, quotes)
    weights = np.array([request.result["weights"][symbol] for symbol in portfolio.symbols])
    changes: dict[str, Any] = {
        "target_weights": weights.tolist(),
        "base_prices": prices.tolist(),
        "base_data_version": request.data_version,
        "optimized_at": timezone.now(),
    }
    if portfolio.follows:
        value = float(np.array(portfolio.shares) @ prices)
        changes["shares"] = (weights * value / prices).tolist()
    rows.change_portfolio(portfolio.pk, changes)


def announce_change() -> None:
    """Tell whoever holds a book of all portfolios that it is out of date."""
    redis_client().incr(version_key())


def portfolios_version() -> int:
    """Grows whenever a portfolio comes, goes or is edited."""
    version: Any = redis_client().get(version_key())
    return int(version or 0)


def version_key() -> str:
    """Key of the number that grows with every change of portfolios."""
    return redis_key("portfolios", "version")


def current_prices(window: ReturnWindow, quotes: Mapping[str, Quote] | None = None) -> FloatArray:
    """Newest price of each symbol, its last close where nothing is quoted, shape (n,)."""
    if quotes is None:
        quotes = latest_quotes(window.symbols)
    return np.array(
        [
            quotes[symbol].price if symbol in quotes else close
            for symbol, close in zip(window.symbols, window.last_closes, strict=True)
        ]
    )


def _prices_at(quotes: Mapping[str, Quote] | None, symbols: Sequence[str]) -> FloatArray | None:
    """Quoted price of each symbol, shape (n,); None unless all are quoted."""
    if quotes is None or any(symbol not in quotes for symbol in symbols):
        return None
    return np.array([quotes[symbol].price for symbol in symbols])


def position_of(portfolio: Portfolio) -> Position:
    """A portfolio as a book takes it in."""
    lookback = DataParameters.of(portfolio.parameters).lookback
    window = return_window(portfolio.symbols, lookback)
    return Position(
        symbols=tuple(portfolio.symbols),
        shares=np.array(portfolio.shares),
        targets=np.array(portfolio.target_weights),
        base_prices=np.array(portfolio.base_prices),
        returns=window.returns,
        last_closes=window.last_closes,
        correlation_change=_correlation_change(portfolio, window),
    )


def portfolio_standing(portfolio: Portfolio) -> PortfolioStanding:
    """Value, weights, drift and risk of a portfolio at the newest prices."""
    position = position_of(portfolio)
    window = return_window(portfolio.symbols, 1)
    prices = current_prices(window)
    quantities = Book([position], portfolio.symbols).quantities(prices)
    values = position.shares * prices
    quoted = latest_quotes(portfolio.symbols).values()
    sources = {*window.sources.values(), *(str(quote.source) for quote in quoted)}
    return PortfolioStanding(
        value=float(values.sum()),
        weights=dict(zip(portfolio.symbols, (values / values.sum()).tolist(), strict=True)),
        target_weights=dict(zip(portfolio.symbols, portfolio.target_weights, strict=True)),
        quantities={
            name.value: float(value[0]) if np.isfinite(value[0]) else None
            for name, value in quantities.items()
        },
        simulated="simulated" in sources,
    )


def check_order(order: WatchOrder) -> ReturnWindow:
    """The window of an order that some portfolio can satisfy.

    Raises:
        RequestError: Its symbols, constraints or parameters are not sound.
    """
    try:
        check_available(order.method)
        lookback = DataParameters.of(order.parameters).lookback
        window = return_window(order.symbols, lookback)
        problem = Problem(
            returns=window.returns,
            symbols=order.symbols,
            objective=order.objective,
            constraints=order.constraints,
        )
        FeasibleSet.of(problem)
    except MarketDataError as error:
        raise market_data_error(error, order.symbols) from error
    except EngineError as error:
        raise InvalidRequestError(error.message, error.fields, error.code) from error
    return window


def _opening(order: WatchOrder, prices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares and target weights that a portfolio begins with."""
    if order.holdings is not None:
        shares = _vector(order.holdings, order.symbols, "holdings")
        values = shares * prices
        if values.sum() <= 0:
            raise InvalidRequestError(
                "holdings are worth nothing; name shares of at least one symbol", ["holdings"]
            )
        return shares, values / values.sum()
    if order.weights is not None:
        targets = _vector(order.weights, order.symbols, "weights")
        if abs(float(targets.sum()) - 1.0) > 1e-6:
            raise InvalidRequestError(f"weights sum to {targets.sum():g}, not 1", ["weights"])
    else:
        targets = np.full(len(order.symbols), 1.0 / len(order.symbols))
    return targets * DEFAULT_CAPITAL / prices, targets


def _vector(table: Mapping[str, float], symbols: Sequence[str], name: str) -> FloatArray:
    unknown = [symbol for symbol in table if symbol not in symbols]
    if unknown:
        raise InvalidRequestError(
            f"{name} names {unknown[0]}, which is not among the symbols", [f"{name}.{unknown[0]}"]
        )
    return np.array([float(table.get(symbol, 0.0)) for symbol in symbols])


def _correlation_change(portfolio: Portfolio, window: ReturnWindow) -> float:
    """Mean absolute change of the pairwise correlations since the last optimisation's data."""
    n = len(portfolio.symbols)
    if n < 2 or portfolio.base_data_version == window.data_version:
        return 0.0
    days = min(CORRELATION_DAYS, window.observations)
    try:
        before = return_window(portfolio.symbols, days, portfolio.base_data_version)
    except MarketDataError:
        return 0.0
    now, then = (np.asarray(np.corrcoef(r.T)) for r in (window.returns[-days:], before.returns))
    upper = np.abs((now - then)[np.triu_indices(n, 1)])
    return float(np.nanmean(upper)) if np.isfinite(upper).any() else 0.0

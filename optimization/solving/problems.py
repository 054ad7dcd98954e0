"""From a recorded request to the engine's problem, the same in the web process and in a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from marketdata.errors import MarketDataError, UnknownSymbolError
from marketdata.quotes import Quote, latest_quotes
from marketdata.selectors import ReturnWindow, current_data_version, return_window
from optimization.engine.problem import FloatArray, Objective, Problem
from optimization.errors import MarketDataUnavailableError
from optimization.freshness import Briefly
from optimization.models import OptimizationRequest
from optimization.parameters import DataParameters
from optimization.submissions import constraints_from_document

data_version = Briefly(current_data_version, seconds=0.5)
"""The newest data version; a request that comes in the instant of a new one gets the one before."""


def forget_data_version(**_kwargs: Any) -> None:
    """Look the version up at the next request."""
    data_version.forget()


@dataclass(frozen=True, slots=True)
class LiveReturn:
    """Today's unfinished return, the last row of a window that is not over yet.

    Attributes:
        returns: From the last closes to the quotes, shape (n,).
        quoted_at: Epoch seconds of the newest quote.
    """

    returns: FloatArray
    quoted_at: float


@dataclass(frozen=True, slots=True)
class MarketProblem:
    """A problem together with the market window that it was built from.

    Attributes:
        problem: What the engine solves.
        window: The completed bars behind it.
        live: The last row of its returns, where that is today's unfinished one.
        quoted_at: Epoch seconds of the newest price used.
    """

    problem: Problem
    window: ReturnWindow
    live: LiveReturn | None
    quoted_at: float


def build_problem(
    request: OptimizationRequest,
    live: LiveReturn | None = None,
    quotes: Mapping[str, Quote] | None = None,
) -> MarketProblem:
    """Load the window of a request and state its problem.

    Args:
        request: What is asked.
        live: A recorded unfinished return; the newest quotes' when left out and asked for.
        quotes: Newest quotes of its symbols; looked up when left out and asked for.

    Raises:
        MarketDataUnavailableError: A symbol is unknown or its history too short.
        InvalidProblemError: The data cannot be optimised over.
    """
    parameters = DataParameters.of(request.parameters)
    symbols = tuple(request.symbols)
    try:
        version = request.data_version or data_version.get()
        window = return_window(symbols, parameters.lookback, version)
    except MarketDataError as error:
        raise market_data_error(error, symbols) from error
    returns, quoted_at = window.returns, _midnight(window)
    if live is None and parameters.include_live:
        live = _live_return(window, quotes)
    if live is not None:
        returns = np.vstack([returns, live.returns])
        quoted_at = live.quoted_at
    constraints = constraints_from_document(request.constraints)
    problem = Problem(
        returns=returns,
        symbols=symbols,
        objective=Objective(request.objective),
        constraints=constraints,
        risk_free_rate=parameters.risk_free_rate,
        risk_aversion=parameters.risk_aversion,
        risk_budgets=parameters.risk_budgets,
        prices=None if constraints.lot_size is None else window.last_closes,
    )
    return MarketProblem(problem, window, live, quoted_at)


def market_data_error(
    error: MarketDataError, symbols: tuple[str, ...]
) -> MarketDataUnavailableError:
    """The same refusal with the paths of the symbols at fault."""
    paths = [f"symbols[{i}]" for i, symbol in enumerate(symbols) if symbol in error.symbols]
    code = "unknown_symbol" if isinstance(error, UnknownSymbolError) else None
    return MarketDataUnavailableError(str(error), paths or ["symbols"], code)


def _live_return(window: ReturnWindow, quotes: Mapping[str, Quote] | None) -> LiveReturn | None:
    """Today's unfinished return from the last closes to the newest quotes, if all are quoted."""
    if quotes is None:
        quotes = latest_quotes(window.symbols)
    if len(quotes) < len(window.symbols):
        return None
    prices = np.array([quotes[symbol].price for symbol in window.symbols])
    newest = max(quote.timestamp for quote in quotes.values())
    return LiveReturn(prices / window.last_closes - 1.0, newest)


def _midnight(window: ReturnWindow) -> float:
    return datetime.fromisoformat(f"{window.end}T00:00:00+00:00").timestamp()

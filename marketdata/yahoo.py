"""Daily closes from Yahoo Finance through yfinance, which is imported only when asked for.

Only ``manage.py fetch_prices`` imports this module: pandas stays out of the server.
"""

import datetime as dt
from collections.abc import Sequence
from importlib import import_module

import pandas as pd

from marketdata.errors import MarketDataError, UnknownSymbolError
from marketdata.models import Source
from marketdata.services import History


def fetch_histories(symbols: Sequence[str], start: dt.date) -> list[History]:
    """Closes of ``symbols`` since ``start``, adjusted for splits and dividends.

    Raises:
        MarketDataError: yfinance is not installed, or brought nothing.
        UnknownSymbolError: Yahoo has no prices of a symbol.
    """
    try:
        yfinance = import_module("yfinance")
    except ImportError:
        raise MarketDataError(
            "yfinance is not installed; run: pip install -r requirements-extra.in"
        ) from None
    if not symbols:
        raise MarketDataError("name at least one symbol to fetch")
    frame = yfinance.download(
        [yahoo_symbol(symbol) for symbol in symbols],
        start=start.isoformat(),
        auto_adjust=True,
        progress=False,
        group_by="column",
        multi_level_index=True,
    )
    if frame is None or frame.empty:
        raise MarketDataError(f"Yahoo has no prices of {', '.join(symbols[:10])} since {start}")
    return histories_of(frame["Close"], symbols, dt.datetime.now(dt.UTC).date())


def histories_of(closes: pd.DataFrame, symbols: Sequence[str], today: dt.date) -> list[History]:
    """Histories from a frame of closes; ``today`` is left out, because its bar is not complete.

    Args:
        closes: A row per day, a column per symbol in Yahoo's spelling, NaN for no bar.
        symbols: What to take, in our spelling.
        today: First day to leave out.

    Raises:
        UnknownSymbolError: Naming the symbols without any completed bar.
    """
    histories, missing = [], []
    for symbol in symbols:
        column = yahoo_symbol(symbol)
        values = closes[column].dropna() if column in closes.columns else closes.iloc[:0, 0]
        bars = zip(pd.DatetimeIndex(values.index).date, values.astype(float), strict=True)
        days = [(day, close) for day, close in bars if day < today]
        if days:
            dates, prices = zip(*days, strict=True)
            histories.append(History(symbol=symbol, source=Source.REAL, dates=dates, closes=prices))
        else:
            missing.append(symbol)
    if missing:
        raise UnknownSymbolError(missing, [history.symbol for history in histories])
    return histories


def yahoo_symbol(symbol: str) -> str:
    """Yahoo's spelling: share classes follow a hyphen."""
    return symbol.replace(".", "-")

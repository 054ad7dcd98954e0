"""What the other layers read: the current data version and windows of returns."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from marketdata.errors import NoMarketDataError, PanelMissingError
from marketdata.models import Asset, DataVersion, Source
from marketdata.panel import Panel, open_panel
from marketdata.services import panel_rebuild, panels_folder

FloatArray = npt.NDArray[np.float64]

KEPT_WINDOWS = 32
"""Windows that a process keeps: the same portfolio is asked for again and again."""

KEPT_RETURNS = 32_768
"""Returns in the largest of them: a quarter of a megabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnWindow:
    """Simple daily returns of completed bars.

    Attributes:
        returns: Shape (T, n), C-contiguous, read-only; row t is close t over close t-1, less one.
        symbols: Names of the columns, in the order asked for.
        start: Day of the first return.
        end: Day of the last return.
        data_version: The version that was read.
        sources: ``real`` or ``simulated`` per symbol.
        last_closes: Closes on ``end``, shape (n,), read-only.
    """

    returns: FloatArray
    symbols: tuple[str, ...]
    start: dt.date
    end: dt.date
    data_version: str
    sources: Mapping[str, str]
    last_closes: FloatArray

    @property
    def observations(self) -> int:
        """Number of returns, T."""
        return len(self.returns)


def current_data_version() -> str:
    """Name of the newest data version (one query).

    Raises:
        NoMarketDataError: Nothing is loaded.
    """
    name = DataVersion.objects.values_list("name", flat=True).first()
    if name is None:
        raise NoMarketDataError
    return name


def check_symbols(symbols: Sequence[str], lookback: int) -> None:
    """Refuse symbols of which no window of ``lookback`` returns can be had (one query).

    Raises:
        NoMarketDataError, UnknownSymbolError, ShortHistoryError: Each naming the symbols.
    """
    load_panel(current_data_version()).check(symbols, lookback)


def return_window(
    symbols: Sequence[str], lookback: int, data_version: str | None = None
) -> ReturnWindow:
    """The newest ``lookback`` returns of ``symbols`` on the days that all of them share.

    Args:
        symbols: Columns of the result; at least one.
        lookback: Number of returns.
        data_version: An older version, to repeat a run; the current one when left out.

    Raises:
        NoMarketDataError, UnknownSymbolError, ShortHistoryError: Each naming the symbols.
        PanelMissingError: This machine does not have that older version.
    """
    version, names = data_version or current_data_version(), tuple(symbols)
    if lookback * len(names) > KEPT_RETURNS:
        return _window(load_panel(version), names, lookback)
    return _kept_window(panels_folder(), version, names, lookback)


@lru_cache(maxsize=KEPT_WINDOWS)
def _kept_window(
    _folder: Path, version: str, symbols: tuple[str, ...], lookback: int
) -> ReturnWindow:
    return _window(load_panel(version), symbols, lookback)


def _window(panel: Panel, symbols: tuple[str, ...], lookback: int) -> ReturnWindow:
    table = panel.window(symbols, lookback)
    returns = table.closes[1:] / table.closes[:-1]
    returns -= 1.0
    last_closes = table.closes[-1].copy()
    for kept in (returns, last_closes):
        kept.flags.writeable = False
    return ReturnWindow(
        returns=returns,
        symbols=symbols,
        start=table.dates[1].item(),
        end=table.dates[-1].item(),
        data_version=panel.version,
        sources={symbol: panel.sources[panel.columns[symbol]] for symbol in symbols},
        last_closes=last_closes,
    )


def real_symbols() -> tuple[str, ...]:
    """Every symbol whose prices are real; empty when nothing is loaded."""
    assets = Asset.objects.filter(source=Source.REAL, bar_count__gt=0)
    return tuple(assets.values_list("symbol", flat=True))


def load_panel(version: str) -> Panel:
    """The mapped panel of ``version``; a machine that lacks the current one builds it.

    Raises:
        PanelMissingError: An older version that this machine does not have.
    """
    try:
        return _mapped(panels_folder(), version)
    except PanelMissingError:
        if version != current_data_version():
            raise
        return panel_rebuild()


@lru_cache(maxsize=8)
def _mapped(folder: Path, version: str) -> Panel:
    return open_panel(folder, version)


def last_closes() -> dict[str, float]:
    """The newest close of every symbol; empty when nothing is loaded."""
    try:
        panel = load_panel(current_data_version())
    except NoMarketDataError:
        return {}
    closes = {}
    for symbol, column in panel.columns.items():
        values = panel.table.closes[:, column]
        closes[symbol] = float(values[np.flatnonzero(np.isfinite(values))[-1]])
    return closes

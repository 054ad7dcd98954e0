"""The sample market: real prices that skfolio ships, and simulated ones for six more symbols.

Real: daily adjusted closes of twenty S&P 500 companies, 1990-01-02 to 2022-12-28, and the index.
Simulated: each day's return is ``beta`` times the real index return plus Student-t noise with five
degrees of freedom, scaled to the symbol's idiosyncratic volatility. The level of a simulated price
means nothing; it is set to 100 on the last day.
"""

import csv
import datetime as dt
import gzip
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from marketdata.errors import MarketDataError
from marketdata.models import Asset, Source
from marketdata.selectors import current_data_version, load_panel
from marketdata.services import History, histories_store

SEED = 20221228
"""Seed of the simulated histories."""

NAMES = {
    "AAPL": "Apple", "AMD": "Advanced Micro Devices", "BAC": "Bank of America",
    "BBY": "Best Buy", "CVX": "Chevron", "GE": "General Electric", "HD": "Home Depot",
    "JNJ": "Johnson & Johnson", "JPM": "JPMorgan Chase", "KO": "Coca-Cola", "LLY": "Eli Lilly",
    "MRK": "Merck", "MSFT": "Microsoft", "PEP": "PepsiCo", "PFE": "Pfizer",
    "PG": "Procter & Gamble", "RRC": "Range Resources", "UNH": "UnitedHealth", "WMT": "Walmart",
    "XOM": "Exxon Mobil",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SimulatedAsset:
    """How a simulated symbol moves.

    Attributes:
        symbol: Its ticker.
        name: What people call it.
        beta: Return per return of the index.
        volatility: Idiosyncratic volatility a year, as a fraction.
    """

    symbol: str
    name: str
    beta: float
    volatility: float


SIMULATED = (
    SimulatedAsset("AMZN", "Amazon (simulated)", 1.2, 0.28),
    SimulatedAsset("BRK.B", "Berkshire Hathaway (simulated)", 0.8, 0.14),
    SimulatedAsset("GOOGL", "Alphabet (simulated)", 1.1, 0.20),
    SimulatedAsset("META", "Meta Platforms (simulated)", 1.2, 0.30),
    SimulatedAsset("NVDA", "NVIDIA (simulated)", 1.6, 0.38),
    SimulatedAsset("TSLA", "Tesla (simulated)", 1.5, 0.48),
)


def sample_histories(until: dt.date | None = None) -> list[History]:
    """Every symbol of the sample market up to ``until``, or all of it.

    Raises:
        MarketDataError: skfolio's data files are not installed, or ``until`` is before their start.
    """
    dates, columns = _read("sp500_dataset.csv.gz")
    index_dates, index = _read("sp500_index.csv.gz")
    if dates != index_dates:
        raise MarketDataError("skfolio's prices and its index have different days; pin skfolio")
    histories = [
        (symbol, Source.REAL, NAMES.get(symbol, symbol), closes)
        for symbol, closes in columns.items()
    ]
    histories += [
        (asset.symbol, Source.SIMULATED, asset.name, closes)
        for asset, closes in zip(SIMULATED, _simulate(index["SP500"]), strict=True)
    ]
    days = sum(1 for date in dates if until is None or date <= until)
    if days == 0:
        raise MarketDataError(f"the sample market begins on {dates[0]}, after {until}")
    return [
        History(symbol=symbol, source=source, name=name, dates=dates[:days], closes=closes[:days])
        for symbol, source, name, closes in histories
    ]


def sample_symbols() -> list[str]:
    """Every symbol of the sample market, without reading its prices."""
    return sorted([*NAMES, *(asset.symbol for asset in SIMULATED)])


def sample_load(
    until: dt.date | None = None, on_stored: Callable[[str, int], None] | None = None
) -> str:
    """Store the symbols of the sample that have no bars yet; a second run changes nothing.

    Args:
        until: Last day to load.
        on_stored: Called with each symbol that was stored, and how many there are.

    Returns:
        What was done, in a sentence.

    Raises:
        MarketDataError: No day is left, or skfolio's files are missing.
    """
    wanted = set(sample_symbols())
    wanted -= set(Asset.objects.filter(bar_count__gt=0).values_list("symbol", flat=True))
    if not wanted:
        version = load_panel(current_data_version()).version
        return f"Sample market: loaded already (data version {version})"
    histories = [history for history in sample_histories(until) if history.symbol in wanted]
    total = len(histories)
    name = histories_store(
        histories,
        reason=f"load_sample_market: {total} symbols",
        on_stored=None if on_stored is None else lambda symbol: on_stored(symbol, total),
    ).name
    simulated = sum(history.source == Source.SIMULATED for history in histories)
    bars = sum(len(history.dates) for history in histories)
    return (
        f"Sample market: {total - simulated} real and {simulated} simulated symbols,"
        f" {bars} bars to {histories[0].dates[-1]} (data version {name})"
    )


def _simulate(index: Sequence[float]) -> Iterator[list[float]]:
    """Closes of each simulated asset on the days of ``index``."""
    levels = np.asarray(index)
    market = levels[1:] / levels[:-1] - 1.0
    for number, asset in enumerate(SIMULATED):
        # A generator each, so that adding a symbol leaves the others as they are.
        rng = np.random.default_rng([SEED, number])
        noise = rng.standard_t(5, len(market)) * math.sqrt(3 / 5)
        returns = asset.beta * market + asset.volatility / math.sqrt(252) * noise
        growth = np.concatenate(([1.0], np.cumprod(1.0 + returns)))
        yield (100.0 * growth / growth[-1]).tolist()


def _read(name: str) -> tuple[list[dt.date], dict[str, list[float]]]:
    """Days and closes per symbol of one of skfolio's files."""
    with gzip.open(_folder() / name, "rt", newline="") as file:
        rows = csv.reader(file)
        symbols = next(rows)[1:]
        table = list(rows)
    dates = [dt.date.fromisoformat(row[0]) for row in table]
    return dates, {
        symbol: [float(row[column]) for row in table]
        for column, symbol in enumerate(symbols, start=1)
    }


def _folder() -> Path:
    # Importing skfolio would bring scikit-learn and cvxpy along.
    spec = find_spec("skfolio")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "datasets" / "data"
        if folder.is_dir():
            return folder
    raise MarketDataError("skfolio is not installed; run: pip install -r requirements.txt")

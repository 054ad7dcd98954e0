"""The simulated feed: ticks around the last closes, for a server without a live feed.

The logarithm of each price over its last close is an Ornstein–Uhlenbeck process whose shocks have
the covariance of the last real returns. Time runs fast, so that 1 % moves come within a minute or
two; the pull back to the close keeps today's unfinished return that of a lively day, however long
the server runs. Ticks only, never bars; every quote says that it is simulated.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from marketdata.errors import MarketDataError
from marketdata.models import Source
from marketdata.quotes import Quote
from marketdata.selectors import FloatArray, current_data_version, load_panel, return_window

NAME = "simulated"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the simulation starts from.

    Attributes:
        symbols: Names, n of them.
        closes: Last real closes, shape (n,).
        returns: Daily returns whose covariance the shocks take, shape (T, n).
        offsets: Logarithms of the first prices over ``closes``, shape (n,).
    """

    symbols: tuple[str, ...]
    closes: FloatArray
    returns: FloatArray
    offsets: FloatArray

    def __post_init__(self) -> None:
        count = len(self.symbols)
        if self.closes.shape != (count,) or self.offsets.shape != (count,):
            raise ValueError("closes and offsets need one value per symbol")
        if self.returns.ndim != 2 or self.returns.shape[1] != count or len(self.returns) < 2:
            raise ValueError("returns need a column per symbol and at least two rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the simulation runs.

    Attributes:
        interval: Seconds between two batches.
        day_seconds: Seconds in which a trading day passes.
        pull: Days after which a deviation from the close has shrunk to 1/e.
    """

    interval: float = 1.0
    day_seconds: float = 120.0
    pull: float = 8.0

    def __post_init__(self) -> None:
        if self.interval < 0 or self.day_seconds <= 0 or self.pull <= 0:
            raise ValueError("interval must not be negative; day_seconds and pull must be positive")


@dataclass(frozen=True, slots=True)
class SimulatedFeed:
    """Simulated ticks of every symbol of ``calibration``, at each beat of ``pace``."""

    calibration: Calibration
    pace: Pace
    rng: np.random.Generator
    clock: Callable[[], float] = field(default=time.time)

    @property
    def name(self) -> str:
        """Its name, on every quote."""
        return NAME

    async def batches(self) -> AsyncGenerator[list[Quote], None]:
        """Yield one quote per symbol, for ever."""
        start = self.calibration
        offsets = start.offsets
        step = max(self.pace.interval, 0.001) / self.pace.day_seconds
        keep = math.exp(-step / self.pace.pull)
        scale = math.sqrt((1.0 - keep * keep) * self.pace.pull / 2.0)
        # Normal weights on the centred rows have exactly the sample covariance, of any rank.
        rows = (start.returns - start.returns.mean(axis=0)) / math.sqrt(len(start.returns) - 1)
        due = asyncio.get_running_loop().time()
        while True:
            offsets = keep * offsets + scale * (self.rng.standard_normal(len(rows)) @ rows)
            prices = (start.closes * np.exp(offsets)).round(6).tolist()
            now = self.clock()
            yield [
                Quote(symbol, price, now, Source.SIMULATED, NAME)
                for symbol, price in zip(start.symbols, prices, strict=True)
            ]
            now_on_loop = asyncio.get_running_loop().time()
            # A beat that the receivers made late is left out, not made up for.
            due = max(due + self.pace.interval, now_on_loop)
            await asyncio.sleep(due - now_on_loop)


def calibrate(
    symbols: tuple[str, ...] | None, quotes: Mapping[str, Quote], lookback: int = 252
) -> Calibration:
    """The current data version as a starting point.

    Args:
        symbols: What to simulate; None for everything that has enough history.
        quotes: Newest quotes; those of an earlier run of this feed are continued.
        lookback: Returns that the covariance is taken from, at most.

    Raises:
        MarketDataError: Nothing is loaded, or a symbol is unknown or has hardly any history.
    """
    panel = load_panel(current_data_version())
    if symbols is None:
        counts = zip(panel.symbols, panel.counts, strict=True)
        symbols = tuple(symbol for symbol, count in counts if count > 20)
    if not symbols:
        raise MarketDataError("no symbol has the 21 bars that a simulation needs; import more")
    panel.check(symbols, 20)
    shortest = min(panel.counts[panel.columns[symbol]] for symbol in symbols) - 1
    window = return_window(symbols, min(lookback, shortest), panel.version)
    offsets = np.zeros(len(symbols))
    for column, symbol in enumerate(symbols):
        quote = quotes.get(symbol)
        if quote is not None and quote.feed == NAME:
            offset = math.log(quote.price / window.last_closes[column])
            # Beyond this the quote belongs to other closes than today's.
            offsets[column] = offset if abs(offset) < 0.3 else 0.0
    return Calibration(symbols, window.last_closes, window.returns, offsets)

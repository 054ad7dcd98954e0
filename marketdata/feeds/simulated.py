"""The simulated feed: ticks around the last closes, for a server without a live feed.

The logarithm of each price over its last close is an Ornstein–Uhlenbeck process whose shocks have
the covariance of the last real returns. Time runs fast, so that 1 % moves come within a minute or
two; the pull back to the close keeps today's unfinished return that of a lively day, however long
the server runs. Ticks only, never bars; every quote says that it is simulated.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
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
        renew_seconds: Seconds between two looks for newer closes.
    """

    interval: float = 1.0
    day_seconds: float = 120.0
    pull: float = 8.0
    renew_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.interval < 0 or self.day_seconds <= 0 or self.pull <= 0:
            raise ValueError("interval must not be negative; day_seconds and pull must be positive")


Renew = Callable[[], Awaitable[Calibration | None]]


async def never() -> None:
    """Keep the calibration for good."""


@dataclass(frozen=True, slots=True)
class SimulatedFeed:
    """Simulated ticks of every symbol of ``calibration``, at each beat of ``pace``.

    Attributes:
        calibration: What to start from.
        pace: How fast.
        rng: Where the shocks come from.
        clock: Epoch seconds.
        renew: Asked now and then for another calibration; None keeps the one there is.
    """

    calibration: Calibration
    pace: Pace
    rng: np.random.Generator
    clock: Callable[[], float] = field(default=time.time)
    renew: Renew = never

    @property
    def name(self) -> str:
        """Its name, on every quote."""
        return NAME

    async def batches(self) -> AsyncGenerator[list[Quote], None]:
        """Yield one quote per symbol, for ever."""
        process = _Process.of(self.calibration, self.pace)
        loop = asyncio.get_running_loop()
        due = loop.time()
        renewal = due + self.pace.renew_seconds
        while True:
            process.step(self.rng)
            yield self._quotes(process)
            if loop.time() >= renewal:
                renewal = loop.time() + self.pace.renew_seconds
                calibration = await self.renew()
                if calibration is not None:
                    process = _Process.of(calibration, self.pace)
            # A beat that the receivers made late is left out, not made up for.
            due = max(due + self.pace.interval, loop.time())
            await asyncio.sleep(due - loop.time())

    def _quotes(self, process: "_Process") -> list[Quote]:
        now = self.clock()
        prices = process.prices().round(6).tolist()
        return [
            Quote(symbol, price, now, Source.SIMULATED, NAME)
            for symbol, price in zip(process.start.symbols, prices, strict=True)
        ]


@dataclass(slots=True)
class _Process:
    """The Ornstein–Uhlenbeck process, exact for any step.

    Attributes:
        start: Its calibration.
        rows: Centred returns over √(T-1): normal weights on them have exactly the sample
            covariance, whatever its rank.
        keep: What a step leaves of a deviation.
        scale: Deviation of a step's shock, in daily deviations.
        offsets: Logarithms of the prices over the closes, shape (n,).
    """

    start: Calibration
    rows: FloatArray
    keep: float
    scale: float
    offsets: FloatArray

    @classmethod
    def of(cls, start: Calibration, pace: Pace) -> "_Process":
        """The process at its start."""
        keep = math.exp(-max(pace.interval, 0.001) / pace.day_seconds / pace.pull)
        return cls(
            start=start,
            rows=(start.returns - start.returns.mean(axis=0)) / math.sqrt(len(start.returns) - 1),
            keep=keep,
            scale=math.sqrt((1.0 - keep * keep) * pace.pull / 2.0),
            offsets=start.offsets,
        )

    def step(self, rng: np.random.Generator) -> None:
        """Go on by one beat."""
        shock = rng.standard_normal(len(self.rows)) @ self.rows
        self.offsets = self.keep * self.offsets + self.scale * shock

    def prices(self) -> FloatArray:
        """Prices of shape (n,)."""
        prices: FloatArray = self.start.closes * np.exp(self.offsets)
        return prices


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

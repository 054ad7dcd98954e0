"""The replay feed: real history played at a chosen speed, from the day after the last bar.

A played day is a tick of each symbol at that day's real close, and then a bar: whoever listens
sees what it would have seen on that day, and the next window ends with it.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from asgiref.sync import sync_to_async

from marketdata.errors import MarketDataError
from marketdata.models import Asset, DataVersion, Source
from marketdata.quotes import Quote
from marketdata.services import History, append_bars

logger = logging.getLogger(__name__)

NAME = "replay"


@dataclass(frozen=True, slots=True)
class Day:
    """Closes of one day to be played, and where each comes from."""

    date: dt.date
    closes: Mapping[str, float]
    sources: Mapping[str, Source]


Append = Callable[[Day], Awaitable[None]]


async def append_day(day: Day) -> None:
    """Make ``day`` the newest completed bar."""
    await sync_to_async(append_bars)(day.date, day.closes, reason=f"replay of {day.date}")


@dataclass(frozen=True, slots=True)
class ReplayFeed:
    """Plays ``days``, one every ``interval`` seconds, then falls silent.

    Attributes:
        days: Ascending.
        interval: Seconds a day takes.
        append: What a played day does when its ticks were heard.
        clock: Epoch seconds.
    """

    days: tuple[Day, ...]
    interval: float
    append: Append = append_day
    clock: Callable[[], float] = field(default=time.time)

    @property
    def name(self) -> str:
        """Its name, on every quote."""
        return NAME

    async def batches(self) -> AsyncGenerator[list[Quote], None]:
        """Yield the ticks of each day."""
        for day in self.days:
            now = self.clock()
            yield [
                Quote(symbol, close, now, day.sources[symbol], NAME)
                for symbol, close in day.closes.items()
            ]
            await self.append(day)
            await asyncio.sleep(self.interval)
        logger.warning(
            "feed replay: no day is left after the last bar; load_sample_market --until DATE into"
            " an empty database leaves days to play"
        )


def days_to_play(histories: Iterable[History], symbols: tuple[str, ...] | None) -> tuple[Day, ...]:
    """The days of ``histories`` after the last bar in the database.

    Symbols that the database does not have, or has from another source, are left out.

    Args:
        histories: What to play.
        symbols: Only these; None for all.

    Raises:
        MarketDataError: None of the symbols can be played.
    """
    stored = dict(Asset.objects.filter(bar_count__gt=0).values_list("symbol", "source"))
    last = DataVersion.objects.values_list("last_date", flat=True).first()
    playable = [
        history
        for history in histories
        if stored.get(history.symbol) == history.source
        and (symbols is None or history.symbol in symbols)
    ]
    if last is None or not playable:
        raise MarketDataError(
            "no symbol of the replay has bars in the database; load their earlier days first",
            symbols or (),
        )
    days: dict[dt.date, dict[str, float]] = {}
    for history in playable:
        for date, close in zip(history.dates, history.closes, strict=True):
            if date > last:
                days.setdefault(date, {})[history.symbol] = close
    sources = {history.symbol: history.source for history in playable}
    return tuple(Day(date, days[date], sources) for date in sorted(days))

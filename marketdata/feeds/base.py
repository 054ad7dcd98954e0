"""What a feed is, and the loop that runs one for as long as it lasts."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections
from redis.exceptions import RedisError

from marketdata.errors import MarketDataError
from marketdata.quarantine import Sorted, TickFilter
from marketdata.quotes import Quote, record_quotes
from marketdata.services import ticks_quarantine

logger = logging.getLogger(__name__)

Sink = Callable[[Sequence[Quote]], Awaitable[None]]


class FeedInterruptedError(MarketDataError):
    """The feed broke off; connecting again may help."""


class FeedRefusedError(MarketDataError):
    """The feed will not have us (keys, plan, symbols); connecting again does not help."""


class Feed(Protocol):
    """A source of quotes."""

    @property
    def name(self) -> str:
        """Its name, on every quote."""

    def batches(self) -> AsyncGenerator[Sequence[Quote], None]:
        """Connect and yield batches of quotes until the feed ends.

        Raises:
            FeedInterruptedError: It broke off.
            FeedRefusedError: It will not have us.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt: doubling, bounded, with jitter.

    Attributes:
        first: Seconds before the second attempt.
        longest: Most seconds between two attempts.
    """

    first: float = 0.5
    longest: float = 60.0

    def delay(self, attempt: int, rng: np.random.Generator) -> float:
        """Seconds to wait after ``attempt`` failures in a row, counted from 1."""
        bound = min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))
        return float(bound * rng.uniform(0.5, 1.0))


async def run(feed: Feed, sink: Sink, backoff: Backoff, rng: np.random.Generator) -> None:
    """Hand every batch of ``feed`` to ``sink`` until the feed ends; connect again when it breaks.

    A batch that arrives ends the row of failures.

    Raises:
        FeedRefusedError: The feed will not have us.
    """
    failures = 0
    while True:
        try:
            async with aclosing(feed.batches()) as batches:
                async for batch in batches:
                    failures = 0
                    await sink(batch)
        except FeedInterruptedError as error:
            failures += 1
            delay = backoff.delay(failures, rng)
            logger.warning("feed %s: %s; trying again in %.1f s", feed.name, error, delay)
            await asyncio.sleep(delay)
        else:
            return


@dataclass(slots=True)
class Recorder:
    """The sink of a real run: sorts a batch, records the good ticks, quarantines the bad ones.

    Redis or the database may go away and come back; meanwhile batches are lost, and said so once.

    Attributes:
        ticks: Rules with the last believed prices.
        clock: Epoch seconds.
    """

    ticks: TickFilter
    clock: Callable[[], float] = time.time
    _failing: bool = field(default=False)

    async def __call__(self, batch: Sequence[Quote]) -> None:
        """Record ``batch`` off the event loop, in the one thread that talks to the database."""
        await sync_to_async(self._record)(self.ticks.sort(batch, self.clock()))

    def _record(self, batch: Sorted) -> None:
        close_old_connections()
        try:
            record_quotes(batch.accepted)
            ticks_quarantine(batch.refused)
        except (RedisError, DatabaseError) as error:
            if not self._failing:
                logger.warning("quotes are not recorded: %s", error)
            self._failing = True
        else:
            if self._failing:
                logger.warning("quotes are recorded again")
            self._failing = False

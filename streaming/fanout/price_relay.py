"""Prices on their way to those connections of this process that read them.

The newest price of each symbol is remembered: whoever subscribes gets it at once, and a batch that
got lost between the feed and this process is noticed by the count of quotes and made up for.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from marketdata.quotes import FeedStatus, feed_status, latest_quotes
from streaming.executor import run_blocking
from streaming.fanout.connection import Connection
from streaming.fanout.prices import PriceBatch
from streaming.fanout.publish import PRICES_GROUP
from streaming.frames import feed_status_frame, price_points

logger = logging.getLogger(__name__)

TURN = 500
"""Connections that are written to before whatever else waits in the process has its turn."""


class PriceRelay:
    """The process' readers of prices.

    Args:
        layer: The channel layer, whose group of prices is joined while there is a reader.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        # A dict, because it may change while it is gone through in turns and keeps its order.
        self._readers: dict[Connection, None] = {}
        self._newest: dict[str, Any] = {}
        self._ticks: int | None = None
        self._behind: int | None = None
        self._status: FeedStatus | None = None
        self._joined = False
        self._lock = asyncio.Lock()

    async def attach(self, connection: Connection, channel: str) -> None:
        """Give a connection the newest prices and all that follow.

        Args:
            connection: It has subscribed to prices.
            channel: The channel of this process, which hears the group.
        """
        self._readers[connection] = None
        await self._settle(channel)
        if self._status is not None:
            connection.outbox.put(feed_status_frame(self._status))
        if self._newest and connection in self._readers:
            connection.deliver_prices(PriceBatch(self._newest, time.time()))

    async def detach(self, connection: Connection, channel: str) -> None:
        """Give a connection no more prices."""
        if self._readers.pop(connection, connection) is None:
            await self._settle(channel)

    async def take(self, prices: Mapping[str, Any], ticks: int) -> None:
        """Pass a batch of the feed on.

        Args:
            prices: ``protocol.PricePoint`` documents by symbol.
            ticks: How many quotes have been recorded with them.

        Raises:
            RedisError: A batch before it was lost, and Redis is away.
        """
        lost = self._ticks is not None and ticks - len(prices) != self._ticks
        self._ticks = ticks
        self._newest.update(prices)
        await self._tell(PriceBatch(prices, time.time()))
        if self._status is not None and self._status.stale:
            await self._look_at_feed()
        if lost:
            await self._make_up()

    async def look(self, channel: str) -> None:
        """Notice what no message tells: a feed that went stale, a last batch that got lost.

        Raises:
            RedisError: Redis is away.
        """
        await self._settle(channel)
        ticks = await self._look_at_feed()
        behind = self._joined and ticks != self._ticks
        # Once may be a batch that is on its way.
        if behind and self._behind == self._ticks:
            self._ticks = ticks
            await self._make_up()
        self._behind = self._ticks if behind else None

    async def forget(self) -> None:
        """The group is heard no more, because its subscription has ended; ``look`` joins it."""
        async with self._lock:
            self._joined = False

    async def _look_at_feed(self) -> int:
        """Tell whether the feed is stale if that has changed; returns the count of its quotes."""
        before, now = self._status, await run_blocking(feed_status)
        self._status = now
        if before is None or before.stale != now.stale:
            for reader in list(self._readers):
                reader.outbox.put(feed_status_frame(now))
        return now.ticks

    async def _settle(self, channel: str) -> None:
        """Hear the group while there is a reader; what Redis hinders now ``look`` does later."""
        async with self._lock:
            try:
                if self._readers and not self._joined:
                    self._newest, self._ticks = {}, None
                    await self._layer.group_add(PRICES_GROUP, channel)
                    # What came meanwhile is newer than what was stored.
                    self._newest = await run_blocking(_stored) | self._newest
                    self._joined = True
                elif self._joined and not self._readers:
                    self._joined = False
                    await self._layer.group_discard(PRICES_GROUP, channel)
            except RedisError as error:
                logger.warning("prices wait for Redis: %s", error)

    async def _make_up(self) -> None:
        """Tell the prices that the readers have not been told."""
        stored = await run_blocking(_stored)
        missed = {symbol: p for symbol, p in stored.items() if self._newest.get(symbol) != p}
        if missed:
            self._newest.update(missed)
            await self._tell(PriceBatch(missed, time.time()))

    async def _tell(self, batch: PriceBatch) -> None:
        for number, reader in enumerate(list(self._readers), 1):
            # It may have left while others had their turn.
            if reader in self._readers:
                reader.deliver_prices(batch)
            if number % TURN == 0:
                await asyncio.sleep(0)


def _stored() -> dict[str, Any]:
    return price_points(latest_quotes())

"""One subscription per web process, shared by all of its connections.

The hub is the only consumer of the channel layer in its process: it joins a group when the first
local connection needs it and leaves with the last. Durable frames are delivered in the order of
their numbers; a number that is missing is read from the history, so that a lost message delays a
frame and never loses it.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from pydantic_core import from_json
from redis import asyncio as redis_asyncio
from redis.exceptions import RedisError

from marketdata.quotes import FeedStatus, feed_status
from streaming.executor import run_blocking
from streaming.fanout import history
from streaming.fanout.connection import Connection
from streaming.fanout.delivery import Delivery
from streaming.fanout.history import Place
from streaming.fanout.prices import PriceBatch
from streaming.fanout.publish import PRICES_GROUP, owner_group
from streaming.frames import feed_status_frame
from streaming.protocol import Topic

logger = logging.getLogger(__name__)

CATCH_UP_SECONDS = 1.0
"""How often the hub looks for numbers that no message announced."""


@dataclass(slots=True)
class _Feed:
    """What the hub knows of one owner: its local connections and the newest number delivered.

    Attributes:
        place: The newest number delivered.
        joined: Whether this process hears the owner's group.
        connections: The owner's connections to this process.
        by_id: The same by client id; one that stands in for another is there twice.
        listeners: Those that subscribed to more than prices.
    """

    place: Place
    joined: bool = False
    connections: set[Connection] = field(default_factory=set)
    by_id: dict[str, set[Connection]] = field(default_factory=dict)
    listeners: set[Connection] = field(default_factory=set)

    def add(self, connection: Connection) -> None:
        """Take a connection in, or note that its ids or subscriptions have changed."""
        self.connections.add(connection)
        for client_id in connection.ids:
            self.by_id.setdefault(client_id, set()).add(connection)
        (self.listeners.add if connection.listens else self.listeners.discard)(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        self.listeners.discard(connection)
        for client_id in connection.ids:
            same = self.by_id.get(client_id, set())
            same.discard(connection)
            if not same:
                self.by_id.pop(client_id, None)

    def deliver(self, delivery: Delivery) -> None:
        """Give a frame to those of the connections that it is for."""
        named = self.by_id.get(delivery.address.client_id or "", set())
        for connection in named | self.listeners:
            if connection.wants(delivery.address):
                connection.deliver(delivery)


class Hub:
    """Routes messages of the channel layer to the connections of this process."""

    def __init__(self) -> None:
        self._layer = get_channel_layer()
        # redis-py types every reply as a union of all that a server could be set to send.
        self._redis: Any = redis_asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=None)
        self._feeds: dict[str, _Feed] = {}
        self._price_readers: set[Connection] = set()
        self._feed_status: FeedStatus | None = None
        self._channel = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = asyncio.Lock()

    @property
    def connections(self) -> list[Connection]:
        """The connections of this process."""
        return [connection for feed in self._feeds.values() for connection in feed.connections]

    def count(self, owner: str) -> int:
        """Connections of one owner in this process."""
        feed = self._feeds.get(owner)
        return 0 if feed is None else len(feed.connections)

    async def join(self, connection: Connection) -> Place:
        """Begin to deliver an owner's frames; returns the newest number at this moment.

        Raises:
            RedisError: Redis is away; the catch-up serves the connection when it is back.
        """
        async with self._lock:
            await self._start()
            owner = connection.owner.key
            feed = self._feeds.setdefault(owner, _Feed(Place("", 0)))
            feed.add(connection)
            if not feed.joined:
                await self._join_group(owner, feed)
            return feed.place

    async def leave(self, connection: Connection) -> None:
        """Stop delivering to a connection that is gone."""
        async with self._lock:
            owner = connection.owner.key
            feed = self._feeds.get(owner)
            if feed is not None:
                feed.remove(connection)
                if not feed.connections:
                    del self._feeds[owner]
                    await self._layer.group_discard(owner_group(owner), self._channel)
            connection.subscriptions.clear()
            await self._update_price_reader(connection)

    async def subscriptions_changed(self, connection: Connection) -> None:
        """Join or leave the price group as the process' connections need it."""
        async with self._lock:
            feed = self._feeds.get(connection.owner.key)
            if feed is not None and connection in feed.connections:
                feed.add(connection)
            await self._update_price_reader(connection)

    def adopt(self, connection: Connection, client_id: str) -> None:
        """Let a connection stand in for a lost one: what was for that one comes here."""
        connection.ids.add(client_id)
        feed = self._feeds.get(connection.owner.key)
        if feed is not None and connection in feed.connections:
            feed.add(connection)

    async def missed(
        self, connection: Connection, since: Place
    ) -> list[tuple[int, Delivery]] | None:
        """Frames for a connection after a place, or None when they are no longer kept."""
        owner = connection.owner.key
        async with self._redis.pipeline() as pipe:
            pipe.get(history.epoch_key())
            pipe.get(history.seq_key(owner))
            pipe.xrange(history.stream_key(owner), f"{since.seq + 1}-0", "+")
            epoch, newest, entries = await pipe.execute()
        if epoch is None or epoch.decode() != since.epoch or since.seq > int(newest or 0):
            return None
        if len(entries) != int(newest or 0) - since.seq:
            return None
        found = []
        for entry_id, fields in entries:
            seq = int(entry_id.split(b"-")[0])
            delivery = Delivery.decode(fields[b"message"])
            if connection.wants(delivery.address):
                found.append((seq, delivery.at(Place(since.epoch, seq))))
        return found

    async def close(self) -> None:
        """Stop the hub's tasks and connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._layer.flush()
        await self._redis.aclose()

    async def _start(self) -> None:
        if not self._tasks:
            self._channel = await self._layer.new_channel()
            self._tasks = [
                asyncio.create_task(self._receive(), name="hub-receive"),
                asyncio.create_task(self._catch_up(), name="hub-catch-up"),
            ]

    async def _join_group(self, owner: str, feed: _Feed) -> None:
        await self._layer.group_add(owner_group(owner), self._channel)
        newest = await self._newest(owner)
        feed.joined = True
        if not feed.place.epoch:
            feed.place = newest

    async def _newest(self, owner: str) -> Place:
        epoch, seq = await self._redis.mget(history.epoch_key(), history.seq_key(owner))
        return Place(epoch.decode() if epoch else "", int(seq or 0))

    async def _update_price_reader(self, connection: Connection) -> None:
        reads = any(s.topic is Topic.PRICE_UPDATES for s in connection.subscriptions)
        before = bool(self._price_readers)
        (self._price_readers.add if reads else self._price_readers.discard)(connection)
        after = bool(self._price_readers)
        if reads and self._feed_status is not None:
            connection.outbox.put(feed_status_frame(self._feed_status))
        if after and not before:
            await self._layer.group_add(PRICES_GROUP, self._channel)
        elif before and not after:
            await self._layer.group_discard(PRICES_GROUP, self._channel)

    async def _receive(self) -> None:
        while True:
            try:
                await self._dispatch(await self._layer.receive(self._channel))
            except RedisError as error:
                logger.warning("a message waits for the next catch-up: %s", error)
            except (ValueError, TypeError, KeyError):
                # Somebody else's bytes on our channel must not end the hub for everybody.
                logger.exception("a message on the channel layer was not understood")

    async def _dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] == "prices":
            batch = PriceBatch(from_json(message["prices"]), time.time())
            for reader in self._price_readers:
                reader.deliver_prices(batch)
            return
        owner = message["owner"]
        feed = self._feeds.get(owner)
        if feed is None:
            return
        if message["type"] == "ephemeral":
            feed.deliver(Delivery.decode(message["message"]))
            return
        place = Place(message["epoch"], message["seq"])
        if place.epoch == feed.place.epoch and place.seq == feed.place.seq + 1:
            feed.deliver(Delivery.decode(message["message"]).at(place))
            feed.place = place
        elif place.epoch != feed.place.epoch or place.seq > feed.place.seq:
            await self._deliver_missing(owner, feed)

    async def _catch_up(self) -> None:
        """Deliver what was kept but never announced, e.g. while Redis restarted."""
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            try:
                await self._look_for_missing()
                await self._look_at_feed()
            except RedisError as error:
                logger.warning("catch-up waits for Redis: %s", error)

    async def _look_for_missing(self) -> None:
        owners = list(self._feeds)
        if not owners:
            return
        keys = [history.epoch_key(), *map(history.seq_key, owners)]
        epoch, *newest = await self._redis.mget(keys)
        for owner, seq in zip(owners, newest, strict=True):
            feed = self._feeds.get(owner)
            here = Place(epoch.decode() if epoch else "", int(seq or 0))
            if feed is not None and here != feed.place and here.seq:
                await self._deliver_missing(owner, feed)
            if feed is not None and not feed.joined:
                async with self._lock:
                    if self._feeds.get(owner) is feed:
                        await self._join_group(owner, feed)

    async def _look_at_feed(self) -> None:
        """Tell price readers when the feed goes stale or ticks again."""
        before, self._feed_status = self._feed_status, await run_blocking(feed_status)
        if before is not None and before.stale == self._feed_status.stale:
            return
        for reader in self._price_readers:
            reader.outbox.put(feed_status_frame(self._feed_status))

    async def _deliver_missing(self, owner: str, feed: _Feed) -> None:
        """Deliver what the history holds beyond the newest number delivered."""
        newest = await self._newest(owner)
        first = feed.place.seq + 1 if newest.epoch == feed.place.epoch else 1
        entries = await self._redis.xrange(history.stream_key(owner), f"{first}-0", "+")
        for entry_id, fields in entries:
            place = Place(newest.epoch, int(entry_id.split(b"-")[0]))
            # Another task may have delivered it while this one waited for Redis.
            if place.epoch == feed.place.epoch and place.seq <= feed.place.seq:
                continue
            feed.deliver(Delivery.decode(fields[b"message"]).at(place))
            feed.place = place


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop; a web process has one."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]

"""One subscription per web process, shared by all of its connections.

The hub is the only consumer of the channel layer in its process: it joins a group when the first
local connection needs it and leaves with the last. Durable frames are delivered in the order of
their numbers; a number that is missing is read from the history, so that a lost message delays a
frame and never loses it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError
from pydantic_core import from_json
from redis.exceptions import RedisError

from marketdata.redis_client import async_redis_client
from streaming.cancelling import end_tasks
from streaming.fanout import history, lineage
from streaming.fanout.connection import Connection
from streaming.fanout.delivery import Delivery
from streaming.fanout.history import Place
from streaming.fanout.price_relay import PriceRelay
from streaming.fanout.publish import owner_group
from streaming.topics import Subscription

logger = logging.getLogger(__name__)

CATCH_UP_SECONDS = 1.0
"""How often the hub looks for numbers that no message announced."""

DEAF_AFTER = 3
"""Calls of its own, one each time it catches up, that the hub may miss before it listens anew."""


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

    def take(self, place: Place, message: bytes) -> bool:
        """Deliver a durable frame if it is the next one; False when some before it are missing."""
        if place.epoch != self.place.epoch or place.seq > self.place.seq + 1:
            return False
        if place.seq == self.place.seq + 1:
            self.deliver(Delivery.decode(message).at(place))
            self.place = place
        return True

    def deliver(self, delivery: Delivery) -> None:
        """Give a frame to those of the connections that it is for."""
        named = self.by_id.get(delivery.address.client_id or "", set())
        for connection in named | self.listeners:
            if connection.wants(delivery.address):
                connection.deliver(delivery)


class _DirectQueue:
    """Stands in for the queue of a channel, and handles each message as it comes."""

    __slots__ = ("put_nowait",)

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self.put_nowait = hear


class Hub:
    """Routes messages of the channel layer to the connections of this process."""

    def __init__(self) -> None:
        self._layer = get_channel_layer()
        # redis-py types every reply as a union of all that a server could be set to send.
        self._redis: Any = async_redis_client()
        self._feeds: dict[str, _Feed] = {}
        self._prices = PriceRelay(self._layer)
        self._channel = ""
        self._unheard, self._deaf = 0, False
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
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
            owner = connection.owner.key
            feed = self._feeds.setdefault(owner, _Feed(Place("", 0)))
            feed.add(connection)
            await self._start()
            if not feed.joined:
                await self._join_group(owner, feed)
            return feed.place

    async def hear(self, connection: Connection) -> None:
        """Make sure that a connection hears its owner's frames before it asks for any.

        Raises:
            RedisError: Redis was away when it connected, and still is.
        """
        feed = self._feeds.get(connection.owner.key)
        if feed is not None and not feed.joined:
            await self.join(connection)

    async def leave(self, connection: Connection) -> None:
        """Stop delivering to a connection that is gone.

        Raises:
            RedisError: Redis is away; nothing is delivered all the same.
        """
        await self._prices.detach(connection, self._channel)
        async with self._lock:
            owner = connection.owner.key
            feed = self._feeds.get(owner)
            if feed is not None:
                feed.remove(connection)
                if not feed.connections:
                    del self._feeds[owner]
                    await self._layer.group_discard(owner_group(owner), self._channel)

    def subscribe(self, connection: Connection, *subscriptions: Subscription) -> None:
        """Deliver the frames of topics to a connection from now on; ``read_prices`` follows."""
        connection.subscribe(*subscriptions)
        self._note(connection)

    def unsubscribe(self, connection: Connection, subscription: Subscription) -> None:
        """Deliver the frames of a topic no more; ``read_prices`` follows."""
        connection.unsubscribe(subscription)
        self._note(connection)

    async def read_prices(self, connection: Connection) -> None:
        """Begin or cease to give prices to a connection whose subscriptions have changed."""
        if connection.reads_prices:
            await self._prices.attach(connection, self._channel)
        else:
            await self._prices.detach(connection, self._channel)

    async def adopt(self, connection: Connection, client_id: str) -> None:
        """Let a connection stand in for a lost one: what was for that one comes here.

        A connection that stands in for ``lineage.MAX_IDS`` already takes no more.

        Raises:
            RedisError: Redis is away; it stands in for that one, but not for those before it.
        """
        if len(connection.ids) >= lineage.MAX_IDS:
            return
        connection.ids.add(client_id)
        self._note(connection)
        connection.ids |= await lineage.inherit(self._redis, connection)
        self._note(connection)

    @contextmanager
    def all_or_nothing(self, connection: Connection) -> Iterator[None]:
        """Take back what a block that fails has let a connection hear.

        Else it would go on from news that came after those it missed, and never ask for them.
        """
        before = set(connection.ids), set(connection.subscriptions)
        try:
            yield
        except BaseException:
            feed = self._feeds.get(connection.owner.key)
            if feed is not None and connection in feed.connections:
                feed.remove(connection)
                connection.hear_only(*before)
                feed.add(connection)
            raise

    async def missed(
        self, connection: Connection, since: Place
    ) -> tuple[Place, list[Delivery] | None]:
        """Where the owner's history ends, and what a connection was to hear after ``since``.

        The frames are None when some of them are no longer kept.
        """
        found = await history.missed(self._redis, connection.owner.key, since)
        if found.messages is None:
            return found.newest, None
        numbered = [(seq, Delivery.decode(message)) for seq, message in found.messages]
        return found.newest, [
            delivery.at(Place(since.epoch, seq))
            for seq, delivery in numbered
            if connection.wants(delivery.address)
        ]

    async def close(self) -> None:
        """Stop the hub's tasks and connections."""
        await end_tasks(self._tasks)
        self._tasks.clear()
        try:
            await self._layer.flush()
        except RedisError as error:
            logger.warning("the subscription did not close: %s", error)
        await self._redis.aclose()

    def _note(self, connection: Connection) -> None:
        feed = self._feeds.get(connection.owner.key)
        if feed is not None and connection in feed.connections:
            feed.add(connection)

    async def _start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._catch_up(), name="hub-catch-up"),
                asyncio.create_task(self._receive(), name="hub-receive"),
            ]
        if not self._channel:
            channel = await self._layer.new_channel()
            # In the place of its queue, from which a frame would be taken two turns of the event
            # loop later.
            self._layer.channels[channel] = _DirectQueue(self._hear)
            self._channel = channel

    async def _check_hearing(self) -> None:
        """Call this process through Redis; a line that went dead says nothing, not even that."""
        if self._unheard >= DEAF_AFTER:
            logger.warning("nothing is heard from Redis any more; listening anew")
            self._deaf = True
        if self._deaf:
            async with self._lock, asyncio.timeout(settings.REDIS_TIMEOUT):
                await self._listen_anew()
            await self._prices.forget()
        self._unheard += 1
        await self._redis.publish(self._channel, self._layer.serialize({"type": "call"}))

    async def _listen_anew(self) -> None:
        """Replace the subscription; what is missed meanwhile is caught up with."""
        self._channel = ""
        await self._layer.flush()
        await self._start()
        for owner, feed in self._feeds.items():
            if feed.joined:
                await self._layer.group_add(owner_group(owner), self._channel)
        self._deaf, self._unheard = False, 0

    async def _join_group(self, owner: str, feed: _Feed) -> None:
        await self._layer.group_add(owner_group(owner), self._channel)
        feed.place = await history.beginning(self._redis, owner)
        feed.joined = True

    def _hear(self, data: bytes) -> None:
        """Take what was published: write it to the sockets at once, or let it wait for Redis."""
        try:
            message = self._layer.deserialize(data)
            if not self._take(message):
                self._waiting.put_nowait(message)
        except (ValueError, TypeError, KeyError):
            # Somebody else's bytes on our channel must not end the hub for everybody.
            logger.exception("a message on the channel layer was not understood")

    def _take(self, message: dict[str, Any]) -> bool:
        """Deliver a message; False when that takes more than this process knows."""
        if message["type"] == "prices":
            return False
        self._unheard = 0
        if message["type"] == "call":
            return True
        feed = self._feeds.get(message["owner"])
        if feed is None or not feed.joined:
            return True
        if message["type"] == "ephemeral":
            feed.deliver(Delivery.decode(message["message"]))
            return True
        return feed.take(Place.parse(message["place"]), message["message"])

    async def _receive(self) -> None:
        """Do what waits."""
        while True:
            message = await self._waiting.get()
            try:
                await self._take_in_time(message)
            except RedisError as error:
                logger.warning("a message waits for the next catch-up: %s", error)
            except (ValueError, TypeError, KeyError):
                logger.exception("a message on the channel layer was not understood")

    async def _take_in_time(self, message: dict[str, Any]) -> None:
        """Pass prices on, whose readers have turns; look up which frames were lost before one."""
        if message["type"] == "prices":
            await self._prices.take(from_json(message["prices"]), int(message["ticks"]))
        elif not self._take(message):
            owner = message["owner"]
            await self._deliver_missing(owner, self._feeds[owner])

    async def _catch_up(self) -> None:
        """Deliver what was kept but never announced, e.g. while Redis restarted."""
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            try:
                async with self._lock:
                    await self._start()
                await self._check_hearing()
                for owner in list(self._feeds):
                    try:
                        await self._catch_up_with(owner)
                    except (ValueError, TypeError, KeyError):
                        logger.exception("what is kept for %s was not understood", owner)
                await self._prices.look(self._channel)
            except (RedisError, DatabaseError, OSError) as error:
                logger.warning("catch-up waits for a backend: %s", error)

    async def _catch_up_with(self, owner: str) -> None:
        feed = self._feeds.get(owner)
        if feed is None:
            return
        if not feed.joined:
            async with self._lock:
                if self._feeds.get(owner) is feed:
                    await self._join_group(owner, feed)
            return
        before = feed.place
        newest = await history.newest_place(self._redis, owner)
        if newest.epoch == before.epoch and newest.seq < before.seq:
            logger.warning("Redis has lost the frames %d to %d", newest.seq + 1, before.seq)
            await history.skip_to(self._redis, owner, before)
        elif newest != feed.place and newest.seq:
            await self._deliver_missing(owner, feed)

    async def _deliver_missing(self, owner: str, feed: _Feed) -> None:
        """Deliver what the history holds beyond the newest number delivered."""
        newest = await history.newest_place(self._redis, owner)
        first = feed.place.seq + 1 if newest.epoch == feed.place.epoch else 1
        for seq, message in await history.kept(self._redis, owner, first):
            # Another task may have delivered it while this one waited for Redis.
            if newest.epoch == feed.place.epoch and seq <= feed.place.seq:
                continue
            place = Place(newest.epoch, seq)
            feed.deliver(Delivery.decode(message).at(place))
            feed.place = place


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop; a web process has one."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]

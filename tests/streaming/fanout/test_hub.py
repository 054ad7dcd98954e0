"""The hub: durable frames come in the order of their numbers, whatever was said or lost between."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from redis import Redis

from optimization.submissions import Owner
from streaming.fanout import history
from streaming.fanout.connection import Connection
from streaming.fanout.delivery import Address, Delivery
from streaming.fanout.history import Announcement
from streaming.fanout.hub import Hub, hub
from streaming.fanout.outbox import Outbox
from streaming.fanout.publish import owner_group, publish_durable, publish_ephemeral
from streaming.protocol import Topic
from streaming.topics import Subscription

# When it looks at the feed, the hub closes database connections that have grown too old.
pytestmark = pytest.mark.django_db(transaction=True)

OWNER = Owner("local")
ADDRESS = Address(owner=OWNER.key, topic=Topic.PORTFOLIO_UPDATES)


class Listener:
    """A connected client that hears all updates and reads at once."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection = Connection("c1", OWNER, Outbox("c1", None, self._send, self._start))
        self.connection.subscribe(Subscription(Topic.PORTFOLIO_UPDATES))

    async def _send(self, text: str) -> None:
        self.received.put_nowait(json.loads(text))

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def numbers(self, count: int) -> list[int]:
        """What the next frames were numbered in their own data."""
        return [(await self.received.get())["data"]["number"] for _ in range(count)]


@pytest.fixture
async def opened(redis_server: Redis) -> AsyncIterator[Hub]:
    """The hub of this loop."""
    opened = hub()
    yield opened
    await opened.close()


@pytest.fixture
async def listener(opened: Hub) -> Listener:
    """A client that has joined."""
    listener = Listener()
    await opened.join(listener.connection)
    return listener


def frame(number: int) -> dict[str, Any]:
    return {"type": "portfolio_update", "data": {"number": number}}


async def tell(*numbers: int) -> None:
    """Publish frames as another process does."""
    for number in numbers:
        await asyncio.to_thread(publish_durable, ADDRESS, frame(number))


async def tell_nobody(number: int) -> None:
    """Number and keep a frame whose announcement gets lost."""
    message = Delivery.of(ADDRESS, frame(number)).encode()
    lost = Announcement("nobody", b"")
    await asyncio.to_thread(history.append, OWNER.key, message, None, lost)


async def test_frames_come_in_the_order_in_which_they_were_told(listener: Listener) -> None:
    await tell(*range(50))
    assert await listener.numbers(50) == list(range(50))


async def test_a_frame_that_was_not_announced_comes_before_the_next(listener: Listener) -> None:
    await tell(0)
    await tell_nobody(1)
    await tell(2)
    assert await listener.numbers(3) == [0, 1, 2]


async def test_frames_that_come_while_a_lost_one_is_looked_up_keep_their_order(
    listener: Listener,
) -> None:
    for lost in range(0, 60, 6):
        await tell_nobody(lost)
        await tell(*range(lost + 1, lost + 6))
    assert await listener.numbers(60) == list(range(60))
    assert listener.received.empty()


async def test_bytes_of_somebody_else_end_nothing(listener: Listener, redis_server: Redis) -> None:
    channel = f"qe:layer:__group__{owner_group(OWNER.key)}"
    for data in (b"", b"garbage", b"0123456789ab\x81\xa4type\xa7durable", b"0123456789ab\x01"):
        assert redis_server.publish(channel, data) == 1
    await tell(0)
    assert await listener.numbers(1) == [0]


async def test_a_spoiled_history_holds_up_nobody_else(
    opened: Hub, listener: Listener, redis_server: Redis
) -> None:
    other = Owner("user:7", 7)
    stranger = Connection("c2", other, listener.connection.outbox)
    await opened.join(stranger)
    redis_server.incr(history.seq_key(other.key))
    redis_server.xadd(history.stream_key(other.key), {"message": "garbage"}, "1-1")
    await tell_nobody(0)
    assert await listener.numbers(1) == [0]
    await tell_nobody(1)
    assert await listener.numbers(1) == [1]


async def test_news_for_the_moment_need_no_number(listener: Listener) -> None:
    await tell(0)
    await asyncio.to_thread(publish_ephemeral, ADDRESS, frame(1))
    await tell(2)
    assert await listener.numbers(3) == [0, 1, 2]

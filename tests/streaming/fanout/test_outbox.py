"""The outbox: order, conflation of prices, and a bound on what may wait."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from pytest_django.fixtures import Settings

from streaming.fanout.outbox import Outbox
from streaming.fanout.prices import PriceBatch
from streaming.protocol import CloseCode


class Client:
    """A client that reads as fast as the test lets it."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._open = asyncio.Event()
        self._open.set()
        self.aborted = False

    @property
    def writable(self) -> bool:
        return self._open.is_set()

    async def drained(self) -> None:
        await self._open.wait()

    def abort(self) -> None:
        self.aborted = True

    def stop_reading(self) -> None:
        self._open.clear()

    def read_on(self) -> None:
        self._open.set()

    def send(self, payload: bytes) -> None:
        self.received.put_nowait(json.loads(payload))

    async def send_slowly(self, text: str) -> None:
        self.send(text.encode())

    async def next(self) -> dict[str, Any]:
        return await self.received.get()


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Outbox]:
    tasks: set[asyncio.Task[None]] = set()

    def start(work: Coroutine[Any, Any, None], name: str) -> None:
        tasks.add(asyncio.create_task(work, name=name))

    yield Outbox("client1", client, client.send_slowly, start)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def numbered(number: int) -> dict[str, Any]:
    return {"type": "heartbeat", "data": {"n": number}, "timestamp": 0.0}


async def test_frames_keep_their_order_and_name_the_client() -> None:
    client = Client()
    async with running(client) as outbox:
        for number in range(100):
            outbox.put(numbered(number))
        frames = [await client.next() for _ in range(100)]
    assert [frame["data"]["n"] for frame in frames] == list(range(100))
    assert {frame["client_id"] for frame in frames} == {"client1"}


async def test_a_frame_that_is_text_already_gets_the_clients_id_too() -> None:
    client = Client()
    async with running(client) as outbox:
        outbox.put_text('{"type":"heartbeat","data":{"note":"}"}}')
        frame = await client.next()
    assert frame == {"type": "heartbeat", "data": {"note": "}"}, "client_id": "client1"}


async def test_of_prices_a_lagging_client_gets_only_the_newest() -> None:
    client = Client()
    async with running(client) as outbox:
        client.stop_reading()
        for price in range(50):
            outbox.put_prices(PriceBatch({"AAPL": {"price": price}}, float(price)))
        outbox.put_prices(PriceBatch({"KO": {"price": 60.0}}, 99.0))
        client.read_on()
        frame = await client.next()
        outbox.put(numbered(1))
        assert (await client.next())["data"] == {"n": 1}
    assert frame["type"] == "price_update"
    assert frame["data"]["prices"] == {"AAPL": {"price": 49}, "KO": {"price": 60.0}}
    assert frame["timestamp"] == 99.0


async def test_a_result_overtakes_the_prices_that_wait() -> None:
    client = Client()
    async with running(client) as outbox:
        client.stop_reading()
        outbox.put_prices(PriceBatch({"AAPL": {"price": 1.0}}, 1.0))
        outbox.put(numbered(7))
        client.read_on()
        kinds = [(await client.next())["type"] for _ in range(2)]
    assert kinds == ["heartbeat", "price_update"]


async def test_prices_of_a_client_that_never_reads_take_no_more_room(settings: Settings) -> None:
    settings.MAX_OUTBOX_BYTES = 65_536
    client = Client()
    dropped: list[CloseCode] = []
    async with running(client) as outbox:
        outbox.on_overflow(dropped.append)
        client.stop_reading()
        for price in range(5_000):
            outbox.put_prices(PriceBatch({"AAPL": {"price": price, "note": "x" * 100}}, 1.0))
    assert dropped == []


async def test_a_client_that_lets_too_much_pile_up_is_dropped_once(settings: Settings) -> None:
    settings.MAX_OUTBOX_BYTES = 65_536
    client = Client()
    dropped: list[CloseCode] = []
    async with running(client) as outbox:
        outbox.on_overflow(dropped.append)
        client.stop_reading()
        for number in range(2_000):
            outbox.put(numbered(number))
    assert dropped == [CloseCode.SLOW_CONSUMER]


async def test_what_was_read_frees_its_room_again(settings: Settings) -> None:
    settings.MAX_OUTBOX_BYTES = 65_536
    client = Client()
    dropped: list[CloseCode] = []
    async with running(client) as outbox:
        outbox.on_overflow(dropped.append)
        for number in range(3_000):
            outbox.put(numbered(number))
            await client.next()
    assert dropped == []

"""The clock of one process is set by an hour: whatever was accepted ends once, and in time."""

import json
from collections.abc import AsyncIterator
from functools import partial

import pytest
from websockets.asyncio.client import connect

from tests.e2e.client import Frame, receive, send, until
from tests.faults.cluster import Cluster
from tests.faults.conftest import Recovering
from tests.faults.history import Event
from tests.faults.trial import Trial, trial

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

AN_HOUR = 3600.0
WAYS = (("forward", AN_HOUR), ("back", -AN_HOUR))


@pytest.fixture
async def work(made: Cluster) -> AsyncIterator[Trial]:
    async with trial(lambda: made.url, made.rows) as work:
        yield work


async def bring_back_what_the_queue_lost(work: Trial, made: Cluster) -> None:
    """A request that only its row still knows ends all the same."""
    client = work.clients[1]
    busy = [await work.ask_long(60.0) for _ in range(2)]
    key = await client.ask(method="particle_swarm")
    request_id = await client.request_id(key)
    assert made.lose_waiting("heuristic") == [request_id]
    for name in busy:
        wanted = {"request_id": await work.clients[0].request_id(name)}
        await work.clients[0].send({"type": "optimization_cancel", "data": wanted})
    await client.end(key)


def is_result(event: Event) -> bool:
    return event.kind == "optimization_result"


@pytest.mark.parametrize("process", ["web", "worker", "beat"])
async def test_a_clock_that_is_set_and_set_back(
    process: str, made: Cluster, work: Trial, recovering: Recovering
) -> None:
    await work.ask_long(1.0)
    for way, seconds in WAYS:
        await work.burst(3)
        with made.clock_off(process, seconds):
            with recovering(f"clock of the {process} process an hour {way}"):
                await work.served()
            await bring_back_what_the_queue_lost(work, made)
            status = json.loads(made.get("/api/v1/streaming/status"))
            assert len(status["websocket_connections"]["clients"]) >= len(work.clients)
            assert made.is_ready()
            await work.ask_long(1.0)
            await work.burst(3)
    with recovering(f"clock of the {process} process right again"):
        await work.served()
    run = await work.judged(overtaken=2)
    took = [event.frame["data"]["optimization_time"] for event in run.events if is_result(event)]
    assert took
    assert all(0 <= seconds < AN_HOUR / 2 for seconds in took)


async def test_the_feeds_clock_is_set_and_set_back(made: Cluster, recovering: Recovering) -> None:
    with made.feeding():
        async with connect(made.url) as reader:
            await receive(reader)
            await send(reader, {"type": "subscribe", "data": {"topic": "price_updates"}})
            await until(reader, partial(is_price_off_by, 0.0))
            for way, seconds in WAYS:
                with (
                    made.clock_off("feed", seconds),
                    recovering(f"clock of the feed an hour {way}"),
                ):
                    await until(reader, partial(is_price_off_by, seconds))
                    assert not json.loads(made.get("/api/v1/streaming/status"))["feed"]["stale"]
            with recovering("clock of the feed right again"):
                await until(reader, partial(is_price_off_by, 0.0))


def is_price_off_by(seconds: float, frame: Frame) -> bool:
    """Whether a frame brings prices whose times are off from the server's by so much."""
    if frame["type"] != "price_update":
        return False
    points = frame["data"]["prices"].values()
    return all(
        abs(point["timestamp"] - frame["timestamp"] - seconds) < AN_HOUR / 2 for point in points
    )

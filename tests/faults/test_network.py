"""Every line between two parts is slowed, cut or left dead; whatever was accepted ends once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect

from tests.e2e.client import next_price, receive
from tests.e2e.harness import wait_until
from tests.faults.cluster import Cluster
from tests.faults.conftest import Recovering
from tests.faults.trial import Trial, trial

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

PAIRS = ("client-web", "web-redis", "worker-redis", "web-postgresql", "worker-postgresql")
OVERTAKEN = {"worker-redis": 2, "worker-postgresql": 2}
"""Requests that a pair's fault may hold up after their claim: one for each pool process."""


@pytest.fixture
async def work(made: Cluster) -> AsyncIterator[Trial]:
    """Clients of the server; afterwards each lane must still serve."""
    async with trial(lambda: made.url, made.rows) as work:
        yield work
        for method in ("mean_variance", "particle_swarm"):
            end = await work.clients[0].optimise(method=method)
            assert end.kind == "optimization_result"
    await asyncio.to_thread(wait_until, made.is_ready)


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_slow_line(pair: str, made: Cluster, work: Trial, recovering: Recovering) -> None:
    with made.links[pair].delaying(0.1):
        await work.ask_long(0.5)
        await work.burst(2)
        await work.judged()
    with recovering(f"delay of 100 ms each way, {pair}"):
        await work.served()
    await work.judged()


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_line_that_is_reset_again_and_again(
    pair: str, made: Cluster, work: Trial, recovering: Recovering
) -> None:
    await work.ask_long(1.0)
    await work.burst(10)
    for _ in range(3):
        await asyncio.to_thread(made.links[pair].reset)
        with recovering(f"reset, {pair}"):
            await work.served()
    await work.judged(overtaken=3 * OVERTAKEN.get(pair, 0))


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_line_that_is_half_open(
    pair: str, made: Cluster, work: Trial, recovering: Recovering
) -> None:
    """Every connection of this moment stays open and says nothing any more."""
    await work.ask_long(1.0)
    await work.burst(10)
    made.links[pair].mute()
    with recovering(f"half-open, {pair}"):
        await work.served()
    # Progress is kept nowhere: it is only heard over a living line from worker to client.
    client = work.clients[0]
    key = await work.ask_long(60.0)
    await client.send(
        {"type": "optimization_cancel", "data": {"request_id": await client.request_id(key)}}
    )
    await work.judged(overtaken=OVERTAKEN.get(pair, 0))


@pytest.mark.parametrize("fault", ["reset", "half-open"])
async def test_the_line_between_feed_and_redis(
    fault: str, made: Cluster, recovering: Recovering
) -> None:
    link = made.links["worker-redis"]
    with made.feeding():
        async with connect(made.url) as reader:
            await receive(reader)
            await next_price(reader)
            await asyncio.to_thread(link.reset if fault == "reset" else link.mute)
            with recovering(f"{fault}, feed-redis"):
                await next_price(reader)


async def test_a_database_that_crashes_in_the_middle_of_commits(
    made: Cluster, work: Trial, recovering: Recovering
) -> None:
    """Over slow lines commits are under way at every moment, so that each crash meets some."""
    slow = [made.links[f"{process}-postgresql"] for process in ("web", "worker")]
    for _ in range(3):
        with slow[0].delaying(0.05), slow[1].delaying(0.05):
            await work.burst(3)
            await work.served()
            await asyncio.to_thread(made.postgresql.crash)
        await asyncio.to_thread(made.postgresql.start)
        with recovering("crash of PostgreSQL in the middle of commits"):
            await work.served()
    await work.judged(overtaken=6)

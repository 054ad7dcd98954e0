"""Many requests at once: the bound, the order, and exactly one end for each."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest
from websockets.asyncio.client import ClientConnection

from tests.e2e.client import (
    Frame,
    ask,
    is_end,
    kind,
    long_run,
    optimise,
    receive,
    request,
    send,
    until,
)
from tests.e2e.harness import Server, data_folder, serving, wait_until

pytestmark = pytest.mark.e2e

CLIENTS, EACH, LIMIT = 10, 15, 100
CONVEX_WORKER = "worker convex"


@pytest.fixture(scope="module")
def queue_server() -> Iterator[Server]:
    """A server whose workers a test may stop."""
    with data_folder() as folder, serving(folder, FEED="none", MAX_QUEUE_SIZE=str(LIMIT)) as server:
        server.wait_ready()
        yield server


async def send_all(socket: ClientConnection) -> None:
    for _ in range(EACH):
        await send(socket, request())


async def acknowledgements(socket: ClientConnection) -> list[Frame]:
    """The first answer to each request of a client: queued, or refused."""
    answers: list[Frame] = []
    while len(answers) < EACH:
        frame = await receive(socket)
        if kind(frame) in {"optimization_queued", "error"}:
            answers.append(frame)
    return answers


@contextmanager
def stopped(server: Server, command: str) -> Iterator[None]:
    """Keep a child of the supervisor, and its own children, from running for a while."""
    worker = server.child(command)
    processes = [worker, *worker.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


async def test_of_150_requests_at_once_100_wait_and_each_accepted_one_ends_once_in_order(
    queue_server: Server,
) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(queue_server.connect()) for _ in range(CLIENTS)]
        watcher = await stack.enter_async_context(queue_server.connect())
        await ask(watcher, {"type": "subscribe", "data": {"topic": "portfolio_updates"}})
        with stopped(queue_server, CONVEX_WORKER):
            # Else a process that stood by when it was stopped is handed the first without a wait.
            queue_server.redis_delete("queue:standby:convex")
            await asyncio.gather(*map(send_all, sockets))
            answers = [await acknowledgements(socket) for socket in sockets]
            status = json.loads(queue_server.get("/api/v1/streaming/status"))
            assert status["optimization_service"]["queue_size"] == LIMIT
        accepted = [[f["data"] for f in own if kind(f) == "optimization_queued"] for own in answers]
        refused = [f["data"] for own in answers for f in own if f["type"] == "error"]
        everything = [data for own in accepted for data in own]
        assert sorted(d["queue_position"] for d in everything) == list(range(1, LIMIT + 1))
        assert len(refused) == CLIENTS * EACH - LIMIT
        assert {data["error"] for data in refused} == {"Optimization queue full"}
        assert all(data["retry"] and data["request_id"] is None for data in refused)
        ends = [await ends_of(s, len(own)) for s, own in zip(sockets, accepted, strict=True)]
        heard = await ends_of(watcher, LIMIT)
    admitted = sorted(everything, key=lambda data: data["queue_position"])
    assert heard == [data["request_id"] for data in admitted]
    for own_ends, own in zip(ends, accepted, strict=True):
        assert own_ends == [data["request_id"] for data in own]


async def ends_of(socket: ClientConnection, count: int) -> list[str]:
    """The ids of all ends that a client hears until a heartbeat after the last expected one."""
    ids: list[str] = []
    while len(ids) < count:
        ids.append((await until(socket, is_end))[-1]["data"]["request_id"])
    await send(socket, {"type": "heartbeat", "data": {}})
    rest = await until(socket, lambda frame: frame["type"] == "heartbeat")
    return ids + [frame["data"]["request_id"] for frame in rest if is_end(frame)]


def is_forgotten(server: Server, client_id: str) -> bool:
    """Whether a client is gone and all that was accepted has ended."""
    status = json.loads(server.get("/api/v1/streaming/status"))
    queue = status["optimization_service"]
    waits = queue["queue_size"] + queue["active_optimizations"]
    return client_id not in status["websocket_connections"]["clients"] and not waits


async def test_a_burst_of_200_requests_and_an_abrupt_end_leave_the_server_healthy(
    queue_server: Server,
) -> None:
    async with queue_server.connect() as watcher:
        await receive(watcher)
        before = json.loads(queue_server.get("/api/v1/streaming/status"))["optimization_service"]
        burst = await queue_server.connect()
        client_id = (await receive(burst))["client_id"]
        for _ in range(200):
            await send(burst, request())
        burst.transport.abort()
        end = await optimise(watcher)
        assert kind(end) in {"optimization_result", "error"}
        while kind(end) != "optimization_result":
            assert end["data"]["error"] == "Optimization queue full"
            end = await optimise(watcher)
        reply = await ask(watcher, {"type": "heartbeat", "data": {"status": "alive"}})
        assert reply["data"]["status"] == "alive"
        wait_until(lambda: is_forgotten(queue_server, client_id))
        status = json.loads(queue_server.get("/api/v1/streaming/status"))["optimization_service"]
    assert status["total_requests"] > before["total_requests"]
    assert status["failed_optimizations"] == before["failed_optimizations"]


async def test_the_status_counts_connections_subscriptions_and_requests(
    queue_server: Server,
) -> None:
    async with queue_server.connect() as socket:
        client_id = (await receive(socket))["client_id"]
        await ask(socket, {"type": "subscribe", "data": {"topic": "risk_alerts"}})
        before = json.loads(queue_server.get("/api/v1/streaming/status"))
        assert client_id in before["websocket_connections"]["clients"]
        assert "risk_alerts" in before["websocket_connections"]["topics"]
        assert before["websocket_connections"]["total_subscriptions"] >= 1
        await optimise(socket)
        after = json.loads(queue_server.get("/api/v1/streaming/status"))
    for field in ("total_requests", "successful_optimizations"):
        gained = after["optimization_service"][field] - before["optimization_service"][field]
        assert gained == 1
    assert after["optimization_service"]["average_optimization_time"] > 0


async def test_a_client_that_vanishes_during_its_run_still_gets_it_recorded(
    queue_server: Server,
) -> None:
    async with queue_server.connect() as watcher:
        await ask(watcher, {"type": "subscribe", "data": {"topic": "portfolio_updates"}})
        vanishing = await queue_server.connect()
        await send(vanishing, long_run(1.0))
        started = (await until(vanishing, lambda f: kind(f) == "optimization_started"))[-1]
        vanishing.transport.abort()
        wanted = started["data"]["request_id"]
        heard = await until(watcher, lambda f: is_end(f) and f["data"]["request_id"] == wanted)
    assert kind(heard[-1]) == "optimization_result"


async def test_a_message_of_two_megabytes_is_answered_and_the_connection_lives(
    queue_server: Server,
) -> None:
    async with queue_server.connect() as socket:
        await receive(socket)
        await send(socket, request(metadata={"note": "x" * 2_000_000}))
        error = (await receive(socket))["data"]
        assert (error["error"], error["code"]) == ("Message too large", "message_too_large")
        await socket.send(b"\x00\xff" * 100)
        error = (await receive(socket))["data"]
        assert error["code"] == "invalid_message"
        assert kind(await optimise(socket)) == "optimization_result"

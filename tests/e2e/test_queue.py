"""Many requests at once: the bound, the order, and exactly one end for each."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection

from tests.e2e.client import Frame, ask, is_end, kind, optimise, receive, request, send, until
from tests.e2e.harness import Server, data_folder, serving

pytestmark = pytest.mark.e2e

CLIENTS, EACH, LIMIT = 10, 15, 100


@pytest.fixture(scope="module")
def slow_server() -> Iterator[Server]:
    """A server whose heuristic lane a test can keep busy for as long as it needs."""
    with data_folder() as folder, serving(folder, FEED="none", MAX_QUEUE_SIZE=str(LIMIT)) as server:
        server.wait_ready()
        yield server


async def send_all(socket: ClientConnection, **changes: object) -> None:
    for number in range(EACH):
        await send(socket, {**request(**changes), "request_id": f"n{number}-{id(socket)}"})


async def acknowledgements(socket: ClientConnection) -> list[Frame]:
    """The first answer to each request of a client: queued, or refused."""
    answers: list[Frame] = []
    while len(answers) < EACH:
        frame = await receive(socket)
        if kind(frame) in {"optimization_queued", "error"}:
            answers.append(frame)
    return answers


async def test_of_150_requests_at_once_100_wait_and_each_accepted_one_ends_once_in_order(
    slow_server: Server,
) -> None:
    async with slow_server.connect() as blocker, slow_server.connect() as watcher:
        await ask(watcher, {"type": "subscribe", "data": {"topic": "portfolio_updates"}})
        # One run holds the lane's only process until it is cancelled.
        await send(blocker, request(method="simulated_annealing", parameters=ENDLESS))
        running = (await until(blocker, lambda f: kind(f) == "optimization_started"))[-1]
        sockets = [await slow_server.connect() for _ in range(CLIENTS)]
        short = {"method": "simulated_annealing", "parameters": {"iterations": 2}}
        await asyncio.gather(*(send_all(socket, **short) for socket in sockets))
        answers = [f for s in sockets for f in await acknowledgements(s)]
        accepted = [f["data"] for f in answers if kind(f) == "optimization_queued"]
        refused = [f["data"] for f in answers if f["type"] == "error"]
        assert len(accepted) == LIMIT
        assert sorted(data["queue_position"] for data in accepted) == list(range(1, LIMIT + 1))
        assert {data["error"] for data in refused} == {"Optimization queue full"}
        assert all(data["retry"] and data["request_id"] is None for data in refused)
        status = json.loads(slow_server.get("/api/v1/streaming/status"))["optimization_service"]
        assert (status["queue_size"], status["active_optimizations"]) == (LIMIT, 1)
        cancel = {"request_id": running["data"]["request_id"]}
        await send(blocker, {"type": "optimization_cancel", "data": cancel})
        ends = await asyncio.gather(
            *(ends_of(socket, answers_of(socket, accepted, answers)) for socket in sockets)
        )
        own = Counter(request_id for ids in ends for request_id in ids)
        assert own == Counter(data["request_id"] for data in accepted)
        heard: list[str] = []
        while len(heard) < LIMIT + 1:
            frame = (await until(watcher, is_end))[-1]
            heard.append(frame["data"]["request_id"])
        await asyncio.gather(*(socket.close() for socket in sockets))
    admitted = sorted(accepted, key=lambda data: data["queue_position"])
    assert heard[0] == running["data"]["request_id"]
    assert heard[1:] == [data["request_id"] for data in admitted]


ENDLESS = {"iterations": 1_000_000, "time_limit": 100.0, "population": 2_000}


def answers_of(
    socket: ClientConnection, accepted: list[dict[str, object]], answers: list[Frame]
) -> int:
    """How many of a client's requests were accepted."""
    mine = {f["data"]["request_id"] for f in answers if f.get("request_id", "").endswith(f"-{id(socket)}")}
    return sum(data["request_id"] in mine for data in accepted)


async def ends_of(socket: ClientConnection, count: int) -> list[str]:
    """The ids of all ends that a client hears until a heartbeat after the last expected one."""
    ids: list[str] = []
    while len(ids) < count:
        ids.append((await until(socket, is_end))[-1]["data"]["request_id"])
    await send(socket, {"type": "heartbeat", "data": {}})
    rest = await until(socket, lambda frame: frame["type"] == "heartbeat")
    return ids + [frame["data"]["request_id"] for frame in rest if is_end(frame)]


async def test_a_burst_of_200_requests_and_an_abrupt_end_leave_the_server_healthy(
    slow_server: Server,
) -> None:
    async with slow_server.connect() as watcher:
        await receive(watcher)
        before = json.loads(slow_server.get("/api/v1/streaming/status"))["optimization_service"]
        burst = await slow_server.connect()
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
        status = json.loads(slow_server.get("/api/v1/streaming/status"))["optimization_service"]
    assert status["total_requests"] > before["total_requests"]
    assert status["failed_optimizations"] == before["failed_optimizations"]


async def test_a_client_that_vanishes_during_its_run_still_gets_it_recorded(
    slow_server: Server,
) -> None:
    async with slow_server.connect() as watcher:
        await ask(watcher, {"type": "subscribe", "data": {"topic": "portfolio_updates"}})
        vanishing = await slow_server.connect()
        await send(
            vanishing, request(method="simulated_annealing", parameters={"time_limit": 1.0})
        )
        started = (await until(vanishing, lambda f: kind(f) == "optimization_started"))[-1]
        vanishing.transport.abort()
        end = (await until(watcher, is_end))[-1]
    assert kind(end) == "optimization_result"
    assert end["data"]["request_id"] == started["data"]["request_id"]


async def test_a_message_of_two_megabytes_is_answered_and_the_connection_lives(
    slow_server: Server,
) -> None:
    async with slow_server.connect() as socket:
        await receive(socket)
        await send(socket, request(metadata={"note": "x" * 2_000_000}))
        error = (await receive(socket))["data"]
        assert (error["error"], error["code"]) == ("Message too large", "message_too_large")
        await socket.send(b"\x00\xff" * 100)
        error = (await receive(socket))["data"]
        assert error["code"] == "invalid_message"
        assert kind(await optimise(socket)) == "optimization_result"

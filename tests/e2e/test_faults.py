"""Processes die in the middle of a solve; each request still ends exactly once."""

import json
from collections.abc import Iterator

import psutil
import pytest
from websockets.asyncio.client import ClientConnection

from tests.e2e.client import Frame, ask, is_end, kind, long_run, optimise, receive, send, until
from tests.e2e.harness import Server, data_folder, serving

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

HEURISTIC_WORKER = "worker heuristic"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that these tests may break."""
    with data_folder() as folder, serving(folder, FEED="none") as server:
        server.wait_ready()
        yield server


def pool_children(worker: psutil.Process) -> list[psutil.Process]:
    """The processes that solve."""
    return list(worker.children(recursive=True))


async def begin(socket: ClientConnection, seconds: float) -> str:
    """Start a long run and return its id once its solver reports progress."""
    await send(socket, long_run(seconds))
    started = (await until(socket, lambda f: kind(f) == "optimization_started"))[-1]
    await until(socket, lambda f: kind(f) == "optimization_progress")
    return str(started["data"]["request_id"])


async def ends(socket: ClientConnection, request_id: str) -> list[Frame]:
    """Every end of a request until a later request of the same lane has ended too."""
    frames = await until(socket, lambda f: is_end(f) and f["data"]["request_id"] == request_id)
    await send(socket, long_run(0.1))
    frames += await until(socket, lambda f: is_end(f) and f["data"]["request_id"] != request_id)
    return [f for f in frames if is_end(f) and f["data"]["request_id"] == request_id]


async def test_a_killed_pool_process_costs_no_request_its_only_end(server: Server) -> None:
    async with server.connect() as socket:
        greeting = await receive(socket)
        request_id = await begin(socket, 1.0)
        for child in pool_children(server.child(HEURISTIC_WORKER)):
            child.kill()
        (end,) = await ends(socket, request_id)
    assert kind(end) == "optimization_result"
    assert end["seq"] == greeting["data"]["seq"] + 1


async def test_a_killed_worker_costs_no_request_its_only_end(server: Server) -> None:
    async with server.connect() as socket:
        await receive(socket)
        request_id = await begin(socket, 1.0)
        worker = server.child(HEURISTIC_WORKER)
        for process in [worker, *pool_children(worker)]:
            process.kill()
        (end,) = await ends(socket, request_id)
    assert kind(end) == "optimization_result"


async def test_a_request_that_outlives_a_suspended_holder_ends_once(server: Server) -> None:
    async with server.connect() as socket:
        await receive(socket)
        request_id = await begin(socket, 1.0)
        worker = server.child(HEURISTIC_WORKER)
        frozen = pool_children(worker)
        for process in frozen:
            process.suspend()
        lost = worker.pid
        worker.kill()
        (end,) = await ends(socket, request_id)
        assert kind(end) == "optimization_result"
        for process in frozen:
            # Whoever wakes up with a lost lease must not end the request a second time.
            if process.is_running():
                process.resume()
        assert server.child(HEURISTIC_WORKER).pid != lost
        assert kind(await optimise(socket)) == "optimization_result"


async def test_a_running_request_can_be_cancelled_and_its_worker_is_free_at_once(
    server: Server,
) -> None:
    async with server.connect() as socket:
        await receive(socket)
        request_id = await begin(socket, 100.0)
        cancel = {"type": "optimization_cancel", "data": {"request_id": request_id}}
        await send(socket, cancel)
        (end,) = await ends(socket, request_id)
        assert kind(end) == "optimization_cancelled"
        error = (await ask(socket, cancel))["data"]
        assert (error["code"], error["error"]) == ("already_finished", "Request already finished")


async def test_a_killed_web_process_loses_no_result_for_a_client_that_resumes(
    server: Server,
) -> None:
    async with server.connect() as socket:
        greeting = (await receive(socket))["data"]
        request_id = await begin(socket, 2.0)
        server.child("manage.py web").kill()
    reconnected: ClientConnection | None = None
    while reconnected is None:
        try:
            reconnected = await server.connect()
        except OSError:
            continue
    async with reconnected as socket:
        await receive(socket)
        place = {name: greeting[name] for name in ("epoch", "seq", "client_id")}
        await send(socket, {"type": "resume", "data": place})
        (end,) = await ends(socket, request_id)
        assert kind(end) == "optimization_result"
    status = json.loads(server.get("/api/v1/streaming/status"))
    assert status["success"] is True

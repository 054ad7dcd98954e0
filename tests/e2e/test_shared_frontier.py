"""A long frontier on two processes: streamed in order, one end, whichever of them is killed."""

import contextlib
from collections.abc import Iterator

import psutil
import pytest

from tests.e2e.client import TWENTY, Frame, kind, receive, send, until
from tests.e2e.harness import Server, data_folder, serving, wait_until

pytestmark = pytest.mark.e2e

POINTS = 200
FRONTIER: Frame = {
    "type": "frontier_request",
    "data": {"symbols": TWENTY, "objective": "minimize_cvar", "points": POINTS},
}
SLOW = "minimize_cdar"
"""A risk whose frontier takes so long that a cancellation always comes in time."""


@pytest.fixture(scope="module")
def pair() -> Iterator[Server]:
    """A server with two convex processes, which share every frontier."""
    settings = {"FEED": "none", "CONVEX_CONCURRENCY": "2", "FRONTIER_SPLIT_SECONDS": "0"}
    with data_folder() as folder, serving(folder, **settings) as server:
        server.wait_ready()
        wait_until(lambda: len(pool(server)) == 2)
        yield server


def pool(server: Server) -> list[psutil.Process]:
    """The processes that solve, without those that were killed and are not buried yet."""
    alive = []
    for process in server.child("worker convex").children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def is_end(frame: Frame) -> bool:
    return kind(frame) in {"frontier_result", "optimization_cancelled", "error"}


def places(frames: list[Frame]) -> list[int]:
    return [f["data"]["point"]["index"] for f in frames if kind(f) == "frontier_point"]


def check_whole(frame: Frame) -> None:
    assert kind(frame) == "frontier_result", frame
    points = frame["data"]["points"]
    assert [point["index"] for point in points] == list(range(POINTS))
    assert all(point["optimality_gap"] <= 1e-6 for point in points)
    returns = [point["target_return"] for point in points]
    assert returns == sorted(returns)


async def test_two_processes_trace_it_and_every_point_comes_in_order(pair: Server) -> None:
    async with pair.connect() as socket:
        await receive(socket)
        await send(socket, FRONTIER)
        frames = await until(socket, is_end)
    check_whole(frames[-1])
    assert places(frames) == list(range(POINTS))


@pytest.mark.parametrize("killed", [0, 1])
async def test_a_killed_process_costs_neither_the_result_nor_brings_a_second(
    pair: Server, killed: int
) -> None:
    wait_until(lambda: len(pool(pair)) == 2)
    processes = pool(pair)
    async with pair.connect() as socket:
        await receive(socket)
        await send(socket, FRONTIER)
        begun = await until(socket, lambda f: is_end(f) or places([f]) == [20])
        processes[killed].kill()
        frames = [*begun, *await until(socket, is_end)]
        await send(socket, {"type": "heartbeat", "data": {}})
        after = await until(socket, lambda frame: frame["type"] == "heartbeat")
    check_whole(frames[-1])
    assert not any(map(is_end, [*frames[:-1], *after]))
    # A holder that died is succeeded by one that begins anew.
    told = places(frames)
    second = told.index(0, 1) if told.count(0) > 1 else len(told)
    assert told[:second] == list(range(second))
    assert told[second:] == list(range(len(told) - second))


async def test_a_shared_frontier_is_cancelled_and_both_processes_are_free(pair: Server) -> None:
    wait_until(lambda: len(pool(pair)) == 2)
    async with pair.connect() as socket:
        await receive(socket)
        await send(socket, {**FRONTIER, "data": {**FRONTIER["data"], "objective": SLOW}})
        first = (await until(socket, lambda f: is_end(f) or places([f]) == [8]))[-1]
        name = first["data"]["request_id"]
        await send(socket, {"type": "optimization_cancel", "data": {"request_id": name}})
        assert kind((await until(socket, is_end))[-1]) == "optimization_cancelled"
        two_points = {**FRONTIER, "data": {**FRONTIER["data"], "points": 2}}
        await send(socket, two_points)
        assert kind((await until(socket, is_end))[-1]) == "frontier_result"

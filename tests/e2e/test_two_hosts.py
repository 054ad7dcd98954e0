"""Two web processes and three workers on two hosts, which know each other by three URLs alone."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.client import Frame, ask, is_end, kind, long_run, receive, send, until
from tests.e2e.harness import wait_until
from tests.e2e.hosts import Host, live_workers, two_hosts

pytestmark = [pytest.mark.e2e, pytest.mark.hosts]

PORT = 8000
Hosts = tuple[Host, Host]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """A web process on each; one worker on the first, two on the second."""
    with two_hosts() as (first, second):
        for host in (first, second):
            host.start("web", "web", "--port", str(PORT))
        first.start("beat", "beat")
        first.start("worker-1", "worker", "convex", "heuristic", "--concurrency", "1")
        second.start("worker-2", "worker", "convex", "heuristic", "--concurrency", "1")
        second.start("worker-3", "worker", "convex", "heuristic", "--concurrency", "1")
        for host in (first, second):
            wait_until(partial(host.wrote, "web", "Listening"))
        wait_until(lambda: live_workers(first, PORT) == 3)
        yield first, second


@pytest.fixture(scope="module")
def token(hosts: Hosts) -> str:
    """A trade token of ann's."""
    return hosts[0].token


def socket_of(host: Host, token: str) -> connect:
    return connect(
        f"ws://{host.address}:{PORT}/ws",
        additional_headers={"Authorization": f"Bearer {token}"},
    )


async def ends_of(socket: ClientConnection, ids: set[str]) -> Counter[str]:
    """How often each request ended, when each has and a heartbeat has been answered since."""
    ends: Counter[str] = Counter()
    while ids - ends.keys():
        frame = await receive(socket)
        if is_end(frame):
            assert kind(frame) == "optimization_result", frame
            ends[frame["data"]["request_id"]] += 1
    await send(socket, {"type": "heartbeat", "data": {"status": "alive"}})
    rest = await until(socket, lambda frame: frame["type"] == "heartbeat")
    ends.update(frame["data"]["request_id"] for frame in rest if is_end(frame))
    return ends


async def submit(socket: ClientConnection, frame: Frame) -> str:
    await send(socket, frame)
    queued = await until(socket, lambda f: kind(f) == "optimization_queued")
    return str(queued[-1]["data"]["request_id"])


async def test_both_hosts_see_the_same_three_workers(hosts: Hosts) -> None:
    assert [live_workers(host, PORT) for host in hosts] == [3, 3]


async def test_every_request_ends_once_while_workers_leave_and_join(
    hosts: Hosts, token: str
) -> None:
    first, second = hosts
    async with socket_of(first, token) as one, socket_of(second, token) as two:
        ids: list[set[str]] = []
        for socket in (one, two):
            await receive(socket)
            ids.append({await submit(socket, long_run(0.3)) for _ in range(12)})
        await asyncio.to_thread(second.stop, "worker-3")
        first.start("worker-4", "worker", "convex", "heuristic", "--concurrency", "1")
        ends = await asyncio.gather(ends_of(one, ids[0]), ends_of(two, ids[1]))
    for mine, asked in zip(ends, ids, strict=True):
        assert mine == Counter(dict.fromkeys(asked, 1))
    for host, name in ((first, "worker-1"), (second, "worker-2"), (second, "worker-3")):
        assert "ended: succeeded" in host.log(name)
    wait_until(lambda: live_workers(second, PORT) == 3)


async def test_a_client_that_moves_to_the_other_host_resumes_there(
    hosts: Hosts, token: str
) -> None:
    first, second = hosts
    async with socket_of(first, token) as socket:
        place = (await receive(socket))["data"]
        request_id = await submit(socket, long_run(1.0))
    async with socket_of(second, token) as socket:
        await receive(socket)
        wanted = {name: place[name] for name in ("epoch", "seq", "client_id")}
        answer = await ask(socket, {"type": "resume", "data": wanted})
        assert answer["data"]["recovered"] is True
        ended = await until(socket, is_end)
    assert ended[-1]["data"]["request_id"] == request_id

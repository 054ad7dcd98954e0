"""Processes are killed while clients work; whatever was accepted still ends exactly once."""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import pytest

from quantumedge.environment import socket_path
from tests.e2e.client import kind, next_price, optimise, receive
from tests.e2e.harness import Server, wait_until
from tests.faults.cluster import lose_waiting
from tests.faults.conftest import Recovering
from tests.faults.history import Event
from tests.faults.rows import sqlite_rows
from tests.faults.trial import Trial, trial

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

CONVEX, HEURISTIC, QUANTUM = "worker convex", "worker heuristic", "worker quantum"
WEB, VALKEY, BEAT, FEED = "manage.py web", "valkey-server", "manage.py beat", "run_feed"


@pytest.fixture
async def work(server: Server) -> AsyncIterator[Trial]:
    """Clients of the server; afterwards every part of it must still do its work."""
    read_rows = functools.partial(sqlite_rows, server.data_dir / "quantumedge.sqlite3")
    async with trial(lambda: server.ws_url, read_rows) as work:
        yield work
        await every_part_works(server)


async def every_part_works(server: Server) -> None:
    """Each lane solves, the feed ticks, and beat sends its tasks."""
    beaten = beats(server)
    async with server.connect() as client:
        await receive(client)
        for method in ("mean_variance", "particle_swarm", "qaoa"):
            end = await optimise(client, symbols=["AAPL", "KO", "MSFT"], method=method)
            assert kind(end) == "optimization_result", end
        await next_price(client)
    await asyncio.to_thread(wait_until, lambda: beats(server) > beaten)


def beats(server: Server) -> int:
    """How many tasks beat has sent, over all of its lives."""
    return (server.data_dir / "log" / "beat.log").read_text().count("Sending due task")


def kill(server: Server, word: str) -> None:
    """Kill -9 a child of the supervisor, and with a worker its pool."""
    process = server.child(word)
    for victim in [process, *process.children(recursive=True)]:
        victim.kill()


async def test_a_killed_pool_process(work: Trial, server: Server, recovering: Recovering) -> None:
    await work.ask_long(1.0)
    await work.burst(10)
    for word in (HEURISTIC, CONVEX):
        for child in server.child(word).children(recursive=True):
            child.kill()
    with recovering("kill -9 of the pool processes of two workers"):
        await work.served()
    await work.judged(overtaken=1)


async def test_a_killed_worker(work: Trial, server: Server, recovering: Recovering) -> None:
    await work.ask_long(1.0)
    await work.burst(10)
    kill(server, HEURISTIC)
    kill(server, CONVEX)
    with recovering("kill -9 of two workers with their pools"):
        await work.served()
    await work.judged(overtaken=1)


async def test_a_killed_web_process(work: Trial, server: Server, recovering: Recovering) -> None:
    await work.ask_long(2.0)
    await work.burst(10)
    kill(server, WEB)
    with recovering("kill -9 of the web process"):
        await work.served()
    await work.judged()
    assert work.listener.connections >= 2


async def test_a_web_process_that_is_killed_again_before_the_first_request_ended(
    work: Trial, server: Server, recovering: Recovering
) -> None:
    await work.ask_long(4.0)
    for _ in range(2):
        kill(server, WEB)
        with recovering("kill -9 of the web process, twice in a row"):
            await work.served()
    await work.judged()


async def test_a_killed_valkey(work: Trial, server: Server, recovering: Recovering) -> None:
    await work.ask_long(2.0)
    await work.burst(10)
    kill(server, VALKEY)
    with recovering("kill -9 of Valkey"):
        await work.served()
    await work.judged(overtaken=1)


async def test_a_killed_beat(work: Trial, server: Server, recovering: Recovering) -> None:
    """Only beat's reconciliation brings back what the queue has lost."""
    client = work.clients[1]
    await work.ask_long(1.0)
    kill(server, BEAT)
    key = await client.ask(method="particle_swarm")
    request_id = await client.request_id(key)
    with recovering("kill -9 of beat, with a request that the queue has lost"):
        valkey = socket_path(server.data_dir, "valkey.sock")
        assert lose_waiting(valkey, "heuristic") == [request_id]
        await client.end(key)
    await work.judged()


async def test_a_request_that_outlives_a_suspended_holder_ends_once(
    work: Trial, server: Server, recovering: Recovering
) -> None:
    await work.ask_long(1.0)
    worker = server.child(HEURISTIC)
    frozen = worker.children(recursive=True)
    for process in frozen:
        process.suspend()
    worker.kill()
    with recovering("kill -9 of a worker whose pool is suspended"):
        await work.clients[0].all_ended()
    for process in frozen:
        # Whoever wakes up with a lost lease must not end the request a second time.
        if process.is_running():
            process.resume()
    await work.clients[0].optimise(method="particle_swarm")
    await work.judged()


async def test_a_running_request_is_cancelled_and_its_worker_is_free_at_once(work: Trial) -> None:
    client = work.clients[0]
    key = await work.ask_long(100.0)
    wanted = {"request_id": await client.request_id(key)}
    await client.send({"type": "optimization_cancel", "data": wanted})
    assert (await client.end(key)).kind == "optimization_cancelled"
    await client.optimise(method="particle_swarm")
    await client.send({"type": "optimization_cancel", "data": wanted, "request_id": "again"})

    def is_refused(events: list[Event]) -> bool:
        codes = [event.frame["data"]["code"] for event in events if event.key == "again"]
        return codes == ["already_finished"]

    await client.hear(is_refused)
    await work.judged()


async def test_a_killed_feed(work: Trial, server: Server, recovering: Recovering) -> None:
    async with server.connect() as reader:
        await next_price(reader)
        kill(server, FEED)
        with recovering("kill -9 of the feed"):
            await next_price(reader)
    await work.served()
    await work.judged()


async def test_a_database_without_room(work: Trial, server: Server, recovering: Recovering) -> None:
    """No process may write beyond the first page of any file, as on a full disk."""
    await work.ask_long(1.0)
    with no_room(server):
        key = await work.clients[1].ask()
        await work.clients[1].hear(lambda events: any(is_refused_for_now(e, key) for e in events))
    with recovering("a full disk that has room again"):
        await work.clients[1].end(key)
    await work.judged(overtaken=2)


def is_refused_for_now(event: Event, key: str) -> bool:
    """Whether a request was answered with a clear error after which to try again."""
    data = event.frame["data"]
    return event.is_refusal and event.key == key and data["code"] == "service_unavailable"


@contextmanager
def no_room(server: Server) -> Iterator[None]:
    """Keep web process and workers from making any file longer than one page."""
    parents = [server.child(word) for word in (WEB, CONVEX, HEURISTIC)]
    processes = [p for parent in parents for p in [parent, *parent.children(recursive=True)]]
    before = [process.rlimit(psutil.RLIMIT_FSIZE) for process in processes]
    for process, (_, hard) in zip(processes, before, strict=True):
        process.rlimit(psutil.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        for process, limits in zip(processes, before, strict=True):
            if process.is_running():
                process.rlimit(psutil.RLIMIT_FSIZE, limits)

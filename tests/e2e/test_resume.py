"""Everything breaks, one after the other; who resumes ends with the frames of who never left."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from examples.websocket_optimization_client import OptimizationClient
from tests.e2e.client import Frame, ask, is_end, kind, receive, request, send, until
from tests.e2e.harness import EMBEDDED_VALKEY, PATIENCE, Server, serving
from tests.proxy import Proxy, proxying

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

TOPICS = ("portfolio_updates", "risk_alerts", "price_updates")
PAIRS = [("AAPL", "MSFT"), ("JPM", "BAC"), ("XOM", "CVX"), ("KO", "PEP")]


class Listener:
    """What a client was told, and a way to wait for more of it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._news = asyncio.Condition()

    async def hear(self, frame: Frame) -> None:
        self.frames.append(frame)
        async with self._news:
            self._news.notify_all()

    @property
    def durable(self) -> list[Frame]:
        """The numbered frames, but for whom each was sent to."""
        return [
            {key: value for key, value in frame.items() if key != "client_id"}
            for frame in self.frames
            if "seq" in frame
        ]

    @property
    def seq(self) -> int:
        return int(self.durable[-1]["seq"]) if self.durable else 0

    async def reaches(self, seq: int) -> None:
        """Wait until a frame of this number or a later one was heard."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self.seq >= seq)

    async def hears(self, wanted: str) -> None:
        """Wait for a frame of a type that is yet to come."""
        count = len(self.frames)
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(
                lambda: any(frame["type"] == wanted for frame in self.frames[count:])
            )


def web_processes(server: Server) -> list[psutil.Process]:
    supervisor = psutil.Process(server.process.pid)
    return [p for p in supervisor.children() if "web" in p.cmdline()]


def holder(server: Server, port: int) -> psutil.Process | None:
    """The web process whose client's end of the connection is ``port``; None when it is gone."""
    for process in web_processes(server):
        with suppress(psutil.NoSuchProcess):
            if any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp")):
                return process
    return None


@asynccontextmanager
async def undisturbed(server: Server, heard: Listener) -> AsyncIterator[ClientConnection]:
    """A client whose one connection must last; it hears every topic."""
    async with server.connect() as socket:
        await receive(socket)
        for topic in TOPICS:
            await ask(socket, {"type": "subscribe", "data": {"topic": topic}})

        async def listen() -> None:
            async for message in socket:
                await heard.hear(json.loads(message))

        task = asyncio.create_task(listen())
        try:
            yield socket
            assert not task.done(), "the undisturbed client lost its connection"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def resuming(proxy: Proxy, heard: Listener) -> AsyncIterator[OptimizationClient]:
    """The client of the examples behind a wire that can be cut."""
    waiting: set[asyncio.Task[None]] = set()

    def hear(frame: Frame) -> None:
        task = asyncio.create_task(heard.hear(frame))
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    async with OptimizationClient(f"ws://127.0.0.1:{proxy.port}/ws", hear) as client:
        for topic in TOPICS:
            await client.subscribe(topic)
        await heard.hears("price_update")
        yield client


async def watch_pairs(server: Server) -> None:
    """Portfolios whose prices move them over their limits and back, and make them be optimised."""
    async with server.connect() as socket:
        await receive(socket)
        for pair in PAIRS:
            data: dict[str, Any] = {
                "name": "-".join(pair),
                "symbols": list(pair),
                "objective": "minimize_variance",
                "triggers": [
                    {"kind": "price_change", "threshold": 0.0005},
                    {"kind": "risk_alert", "measure": "concentration", "limit": 0.5005},
                ],
            }
            reply = await ask(socket, {"type": "watch", "data": data})
            shares = reply["data"]["standing"]["weights"]
            assert shares.keys() == set(pair)


async def ask_until(server: Server, enough: asyncio.Event) -> int:
    """Ask for one optimisation after the other, whatever breaks; the number of the last end."""
    end: Frame = {}
    while not (enough.is_set() and end.get("seq")):
        try:
            async with connect(server.ws_url) as socket:
                while not (enough.is_set() and end.get("seq")):
                    await send(socket, request(symbols=["AAPL", "KO", "XOM"]))
                    end = (await until(socket, is_end))[-1]
        except (ConnectionClosed, InvalidHandshake, OSError):
            end = {}
    return int(end["seq"])


async def test_a_resuming_client_ends_with_the_frames_of_one_that_never_lost_its_connection(
    data_dir: Path,
) -> None:
    environment = {"FEED_RATE": "5", "WEB_PROCESSES": "2", "OPTIMIZATION_INTERVAL": "1"}
    with (
        serving(data_dir, FEED="simulated", **environment, **EMBEDDED_VALKEY) as server,
        proxying(server.tcp_address) as proxy,
    ):
        steady, torn = Listener(), Listener()
        async with (
            undisturbed(server, steady) as socket,
            resuming(proxy, torn),
        ):
            keeps = holder(server, socket.local_address[1])
            await watch_pairs(server)
            enough = asyncio.Event()
            asking = asyncio.create_task(ask_until(server, enough))

            async def elsewhere() -> psutil.Process:
                """Cut the torn client's wire until another process than ``keeps`` serves it."""
                while (process := holder(server, proxy.upstream_ports[-1])) in (None, keeps):
                    # What it hears next may be the last of a connection that is gone already.
                    if process == keeps:
                        proxy.reset()
                    await torn.hears("price_update")
                assert process is not None
                return process

            async def both_go_on() -> None:
                first = steady.seq + 5
                await asyncio.gather(steady.reaches(first), torn.reaches(first))
                await asyncio.gather(steady.hears("price_update"), torn.hears("price_update"))

            await both_go_on()
            proxy.reset_after(1000)
            await both_go_on()
            for victim in ("web", "run_feed", "valkey-server", "web"):
                printed = len(server.lines)
                process = await elsewhere() if victim == "web" else server.child(victim)
                process.kill()
                await asyncio.to_thread(server.wait_for_line, "starting it again", printed)
                await both_go_on()
            proxy.reset()
            await both_go_on()
            enough.set()
            last = await asking
            await asyncio.gather(steady.reaches(last), torn.reaches(last))
            assert torn.frames[-1]["timestamp"] > 0

        first = max(listener.durable[0]["seq"] for listener in (steady, torn))
        kept = [
            [frame for frame in listener.durable if first <= frame["seq"] <= last]
            for listener in (steady, torn)
        ]
    assert kept[1] == kept[0]
    assert [frame["seq"] for frame in kept[0]] == list(range(first, last + 1))
    assert {kind(frame) for frame in kept[0]} == {"optimization_result", "risk_alert"}
    resumed = [frame["data"] for frame in torn.frames if frame["type"] == "resume"]
    assert len(resumed) >= 4
    assert all(data["recovered"] for data in resumed)

"""Every process is replaced while clients ask: nobody is refused, and each request ends once."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from streaming.protocol import CloseCode
from tests.e2e.client import BANKS, TECH, Frame, is_end, kind, receive, request, send
from tests.e2e.harness import Server, data_folder, serving

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

CLIENTS = 4
CHILDREN = (
    "manage.py web",
    "worker convex",
    "worker heuristic",
    "worker quantum",
    "manage.py beat",
)


@pytest.fixture
def server() -> Iterator[Server]:
    with (
        data_folder() as folder,
        serving(folder, FEED="none", WEB_PROCESSES="1") as server,
    ):
        server.wait_ready()
        yield server


class Asker:
    """A client that asks one thing after the other, and connects again when it is told to.

    Attributes:
        ends: How often each of its keys was ended, by the key.
        closings: The codes with which it was told to leave.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.ends: Counter[str] = Counter()
        self.closings: list[int] = []
        self._place: Frame | None = None
        self._ids: dict[str, str] = {}

    async def ask_until(self, enough: asyncio.Event) -> None:
        number = 0
        while not enough.is_set():
            await self._settle(f"{self.name}-{number}", BANKS if number % 2 else TECH)
            number += 1

    async def _settle(self, key: str, symbols: list[str]) -> None:
        """Ask under one key, over as many connections as it takes, until it has ended."""
        while not self.ends[key]:
            try:
                async with self.server.connect() as socket:
                    await self._resume(socket)
                    await send(socket, {**request(symbols=symbols), "request_id": key})
                    await self._listen(socket, key)
            except ConnectionClosed as closed:
                self.closings.append(closed.rcvd.code if closed.rcvd else 1006)

    async def _resume(self, socket: ClientConnection) -> None:
        greeting = (await receive(socket))["data"]
        if self._place is not None:
            await send(socket, {"type": "resume", "data": self._place})
        self._place = {name: greeting[name] for name in ("epoch", "seq", "client_id")}

    async def _listen(self, socket: ClientConnection, key: str) -> None:
        while True:
            frame = await receive(socket)
            if "seq" in frame and self._place is not None:
                self._place["seq"] = frame["seq"]
            if kind(frame) == "optimization_queued":
                self._ids[frame["data"]["request_id"]] = key
            if is_end(frame):
                assert kind(frame) == "optimization_result", frame
                self.ends[self._ids.get(frame["data"]["request_id"], key)] += 1
                if self.ends[key]:
                    return


async def test_requests_go_on_while_every_process_is_replaced(server: Server) -> None:
    before = {word: server.child(word).pid for word in CHILDREN}
    askers = [Asker(server, f"asker{number}") for number in range(CLIENTS)]
    enough = asyncio.Event()
    asking = [asyncio.create_task(asker.ask_until(enough)) for asker in askers]
    server.process.send_signal(signal.SIGUSR1)
    await asyncio.to_thread(server.wait_for_line, "Replaced worker-convex")
    enough.set()
    await asyncio.gather(*asking)
    await asyncio.to_thread(server.wait_for_line, "Replaced every process")
    assert not {word for word in CHILDREN if server.child(word).pid == before[word]}
    ends: Counter[str] = sum((asker.ends for asker in askers), Counter())
    assert len(ends) > CLIENTS
    assert set(ends.values()) == {1}
    # A connection refused or lost in its handshake would have ended its asker with an error.
    closings = Counter(code for asker in askers for code in asker.closings)
    assert closings.keys() == {CloseCode.SERVER_RESTART}
    status = json.loads(server.get("/api/v1/streaming/status"))["optimization_service"]
    assert status["failed_optimizations"] == 0
    assert status["queue_size"] == status["active_optimizations"] == 0
    assert "starting it again" not in server.output

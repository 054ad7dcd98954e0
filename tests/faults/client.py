"""A client as a careful program is one: it keys its requests, reconnects, resumes, and records."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.e2e.client import request
from tests.e2e.harness import PATIENCE
from tests.faults.history import ASKING, TOPICS, Direction, Event, Frame

PAUSE = 0.05
"""Seconds between two attempts to connect, or to ask again for what was refused for now."""
PING_SECONDS, PONG_SECONDS = 1.0, 4.0
"""A line that says nothing for so long is given up."""
SHOWN_EVENTS = 30
"""Events of a client that a failed test shows."""


@dataclass
class Record:
    """All events of all clients of one run, in order, and the names that they gave."""

    events: list[Event] = field(default_factory=list)
    _run: str = field(default_factory=lambda: secrets.token_hex(3))
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def note(self, client: str, direction: Direction, frame: Frame) -> Event:
        """Write one event down."""
        event = Event(time.time(), client, direction, frame)
        self.events.append(event)
        return event

    def name(self, word: str) -> str:
        """A name that nobody else has, in no other run either."""
        return f"{word}-{self._run}-{next(self._numbers)}"

    def keys(self) -> set[str]:
        """The keys of all requests that were sent."""
        sent = (event for event in self.events if event.direction is Direction.SENT)
        return {event.key for event in sent if event.kind in ASKING and event.key is not None}


@dataclass
class _Asked:
    """One request of the client's own.

    Attributes:
        frame: What was sent.
        acknowledged: Set once the server has taken it.
        request_id: The server's name for it, once known.
        begun: Set once its solver reports progress.
        ended: Set by its end, or by a refusal for good.
        end: What ended it.
    """

    frame: Frame
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    request_id: str | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end: Event | None = None


class ResumingClient:
    """Lives through lost connections; use :func:`resuming`.

    After a reconnect it resumes, and sends again only what was never acknowledged; everything that
    it had asked for only when the server says that it could not recover what was missed. It hears
    its topics from the resumption on: what came before would move its place past what it missed.

    Args:
        name: Its name in the record.
        record: Where its events go.
        url: Where to connect; asked for again before every attempt.
        topics: What it subscribes to on every connection.
    """

    def __init__(
        self,
        name: str,
        record: Record,
        url: Callable[[], str],
        topics: frozenset[str] = frozenset(),
    ) -> None:
        self.name = name
        self.connections = 0
        self._record = record
        self._url = url
        self._topics = sorted(topics)
        self._asked: dict[str, _Asked] = {}
        self._place: dict[str, Any] | None = None
        self._socket: ClientConnection | None = None
        self._ready = asyncio.Event()
        self._again: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def ask(self, **changes: Any) -> str:
        """Send an optimisation request, now or once caught up; returns its key."""
        key = self._record.name(self.name)
        asked = self._asked[key] = _Asked({**request(**changes), "request_id": key})
        await self._try_ask(asked)
        return key

    async def send(self, frame: Frame) -> None:
        """Send another frame once connected."""
        async with asyncio.timeout(PATIENCE):
            await self._ready.wait()
        await self._try_send(frame)

    async def begun(self, key: str) -> None:
        """Wait until a request's solver reports progress."""
        async with asyncio.timeout(PATIENCE):
            await self._asked[key].begun.wait()

    async def request_id(self, key: str) -> str:
        """The server's name of a request, once it is acknowledged."""
        async with asyncio.timeout(PATIENCE):
            await self._asked[key].acknowledged.wait()
        request_id = self._asked[key].request_id
        assert request_id is not None
        return request_id

    async def end(self, key: str) -> Event:
        """The end of a request."""
        asked = self._asked[key]
        async with asyncio.timeout(PATIENCE):
            await asked.ended.wait()
        assert asked.end is not None
        return asked.end

    async def optimise(self, **changes: Any) -> Event:
        """Ask and wait for the end."""
        return await self.end(await self.ask(**changes))

    async def all_ended(self) -> None:
        """Wait for the end of everything that was asked for."""
        for key in list(self._asked):
            await self.end(key)

    async def connected(self) -> None:
        """Wait until the newest connection has caught up."""
        async with asyncio.timeout(PATIENCE):
            await self._ready.wait()

    async def hear(self, wanted: Callable[[list[Event]], bool]) -> None:
        """Wait until all that this client has received is as wanted."""

        def received() -> list[Event]:
            events = (event for event in self._record.events if event.client == self.name)
            return [event for event in events if event.direction is Direction.RECEIVED]

        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: wanted(received()))
        except TimeoutError:
            last = "\n".join(map(str, received()[-SHOWN_EVENTS:]))
            pytest.fail(f"{self.name}, connected {self.connections} times, heard at last:\n{last}")

    async def run(self) -> None:
        """Keep connected until cancelled."""
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(
                    self._url(),
                    open_timeout=PONG_SECONDS,
                    ping_interval=PING_SECONDS,
                    ping_timeout=PONG_SECONDS,
                    close_timeout=PAUSE,
                ) as socket:
                    await self._live(socket)
            self._ready.clear()
            self._socket = None
            await asyncio.sleep(PAUSE)

    async def _live(self, socket: ClientConnection) -> None:
        self.connections += 1
        async for text in socket:
            frame: Frame = json.loads(text)
            event = self._record.note(self.name, Direction.RECEIVED, frame)
            if frame["type"] == "connection_status":
                self._socket = socket
                await self._greeted(frame["data"])
            elif frame["type"] == "resume":
                await self._resumed(frame["data"])
            elif event.kind == "error" and event.key == "resume":
                assert frame["data"]["retry"], frame
                self._later(self._resume)
            else:
                self._take(event)
            async with self._news:
                self._news.notify_all()

    async def _greeted(self, greeting: Frame) -> None:
        self._greeting = {name: greeting[name] for name in ("epoch", "seq", "client_id")}
        if self._place is not None:
            await self._resume()
            return
        self._place = dict(self._greeting)
        for topic in self._topics:
            await self._try_send({"type": "subscribe", "data": {"topic": topic}})
        await self._settled(self._unacknowledged())

    async def _resume(self) -> None:
        assert self._place is not None
        place = {**self._place, "topics": self._topics}
        await self._try_send({"type": "resume", "data": place, "request_id": "resume"})

    async def _resumed(self, answer: Frame) -> None:
        assert self._place is not None
        known = self._place["seq"] if self._place["epoch"] == answer["epoch"] else 0
        self._place = {**self._greeting, "seq": max(known, answer["seq"])}
        await self._settled(self._unacknowledged() if answer["recovered"] else self._unended())

    async def _settled(self, frames: list[Frame]) -> None:
        self._ready.set()
        for frame in frames:
            await self._try_send(frame)

    def _unended(self) -> list[Frame]:
        return [asked.frame for asked in self._asked.values() if not asked.ended.is_set()]

    def _unacknowledged(self) -> list[Frame]:
        return [
            asked.frame
            for asked in self._asked.values()
            if not asked.acknowledged.is_set() and not asked.ended.is_set()
        ]

    def _take(self, event: Event) -> None:
        if "seq" in event.frame and self._place is not None:
            newer = event.frame["seq"]
            if event.frame["epoch"] == self._place["epoch"]:
                newer = max(newer, self._place["seq"])
            self._place = {**self._place, "epoch": event.frame["epoch"], "seq": newer}
        asked = self._asked.get(event.key or "")
        if asked is None:
            return
        asked.request_id = event.request_id or asked.request_id
        if event.is_refusal and event.frame["data"]["retry"]:
            self._later(lambda: self._ask_again(asked))
        elif event.is_end or event.is_refusal:
            asked.end = event
            asked.begun.set()
            asked.ended.set()
        elif event.kind == "optimization_progress":
            asked.begun.set()
        if event.request_id is not None:
            asked.acknowledged.set()

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something after a pause."""

        async def do() -> None:
            await asyncio.sleep(PAUSE)
            await work()

        task = asyncio.create_task(do())
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _ask_again(self, asked: _Asked) -> None:
        if not asked.ended.is_set():
            await self._try_ask(asked)

    async def _try_ask(self, asked: _Asked) -> None:
        """Send a request unless news of it would overtake what is still to be caught up with."""
        if self._ready.is_set():
            await self._try_send(asked.frame)

    async def _try_send(self, frame: Frame) -> None:
        """Send a frame if there is a connection; what is lost with it is sent by the next one."""
        if self._socket is None:
            return
        self._record.note(self.name, Direction.SENT, frame)
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps(frame))


@asynccontextmanager
async def resuming(
    record: Record, url: Callable[[], str], *, listens: bool = False
) -> AsyncIterator[ResumingClient]:
    """A connected client for one block; one that ``listens`` hears everything of its owner."""
    name = record.name("listener" if listens else "client")
    client = ResumingClient(name, record, url, TOPICS if listens else frozenset())
    running = asyncio.create_task(client.run(), name=name)
    try:
        await client.connected()
        yield client
    finally:
        running.cancel()
        # A client that broke fails its test, by its own error.
        with suppress(asyncio.CancelledError):
            await running

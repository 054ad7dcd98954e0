"""A local WebSocket server that speaks a market's protocol, one script per connection."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from marketdata.feeds.base import Backoff, Feed, Sink, run
from marketdata.quotes import Quote


@dataclass
class Session:
    """The server's side of one connection."""

    socket: ServerConnection

    async def send(self, *messages: Any) -> None:
        """Send each of ``messages`` as JSON."""
        for message in messages:
            await self.socket.send(json.dumps(message))

    async def hear(self) -> Any:
        """The client's next message."""
        return json.loads(await self.socket.recv())

    async def stall(self) -> None:
        """Say nothing more until the client goes."""
        await self.socket.wait_closed()

    async def break_off(self) -> None:
        """Be gone without a word."""
        self.socket.transport.abort()


Conversation = Callable[[Session], Awaitable[None]]
Script = Conversation | HTTPStatus
"""What a connection meets: a conversation, or an answer that is no WebSocket."""


@dataclass
class StreamServer:
    """Where it listens and what it met."""

    url: str = ""
    connections: int = 0
    failures: list[Exception] = field(default_factory=list)


@asynccontextmanager
async def stream_server(*scripts: Script) -> AsyncIterator[StreamServer]:
    """Serve: the first connection meets the first script and so on, the last one again and again.

    A connection is closed when its script ends. A script's failed assertion fails the test.
    """
    server = StreamServer()
    met: dict[ServerConnection, Conversation] = {}

    def answer(socket: ServerConnection, _request: Request) -> Response | None:
        script = scripts[min(server.connections, len(scripts) - 1)]
        server.connections += 1
        if isinstance(script, HTTPStatus):
            return socket.respond(script, "no\n")
        met[socket] = script
        return None

    async def handle(socket: ServerConnection) -> None:
        try:
            await met[socket](Session(socket))
        except ConnectionClosed:
            return
        except AssertionError as error:
            server.failures.append(error)

    async with serve(handle, "127.0.0.1", 0, process_request=answer) as listening:
        server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server
    await asyncio.sleep(0)
    if server.failures:
        raise server.failures[0]


class EnoughError(Exception):
    """A sink has what the test waited for."""


@dataclass(frozen=True, kw_only=True)
class CountedBackoff(Backoff):
    """Waits for nothing and keeps how often it was asked in a row.

    Attributes:
        attempts: Failures in a row at each wait.
    """

    attempts: list[int] = field(default_factory=list)

    def delay(self, attempt: int, rng: np.random.Generator) -> float:
        """Note the attempt; the wait would have been longer than that of the one before."""
        assert super().delay(attempt, rng) > 0
        self.attempts.append(attempt)
        return 0.0


async def collect(
    feed_at: Callable[[str], Feed],
    count: int,
    *scripts: Script,
    backoff: Backoff | None = None,
    then: Sink | None = None,
) -> list[Quote]:
    """Run a feed against scripts until it has brought so many quotes.

    Args:
        feed_at: Makes the feed of an address.
        count: Quotes after which it is enough.
        scripts: What its connections meet.
        backoff: Waits between connections; none when left out.
        then: Gets every batch, too.
    """
    quotes: list[Quote] = []

    async def sink(batch: Sequence[Quote]) -> None:
        quotes.extend(batch)
        if then is not None:
            await then(batch)
        if len(quotes) >= count:
            raise EnoughError

    waits = backoff or Backoff(first=0.0)
    async with stream_server(*scripts) as server:
        with pytest.raises(EnoughError):
            await run(feed_at(server.url), sink, waits, np.random.default_rng(1))
    return quotes

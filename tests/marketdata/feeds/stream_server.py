"""A local WebSocket server that speaks a market's protocol, one script per connection."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


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


Script = Callable[[Session], Awaitable[None]]


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

    async def handle(socket: ServerConnection) -> None:
        script = scripts[min(server.connections, len(scripts) - 1)]
        server.connections += 1
        try:
            await script(Session(socket))
        except ConnectionClosed:
            return
        except AssertionError as error:
            server.failures.append(error)

    async with serve(handle, "127.0.0.1", 0) as listening:
        server.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server
    await asyncio.sleep(0)
    if server.failures:
        raise server.failures[0]

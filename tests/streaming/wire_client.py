"""A client of the consumer in this process: no server, no network, the real database and Valkey."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator

from quantumedge.asgi import application
from streaming.access.guard import _guards
from streaming.fanout.hub import _hubs
from streaming.fanout.presence_task import _keepers

Frame = dict[str, Any]
HOST = b"desk.example"
ORIGIN = b"https://desk.example"


class WireClient:
    """One WebSocket.

    Args:
        communicator: Channels' own.
    """

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator

    async def send(self, kind: str, data: Frame | None = None, **envelope: Any) -> None:
        await self.communicator.send_to(
            text_data=json.dumps({"type": kind, "data": data or {}, **envelope})
        )

    async def receive(self) -> Frame:
        frame: Frame = json.loads(await self.communicator.receive_from(timeout=30))
        return frame

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        while not wanted(frame := await self.receive()):
            pass
        return frame

    async def ask(self, kind: str, data: Frame | None = None, **envelope: Any) -> Frame:
        """Send a frame and wait for one of its type, or an error."""
        await self.send(kind, data, **envelope)
        return await self.until(lambda frame: frame["type"] in {kind, "error"})

    async def close_code(self) -> int:
        """Read until the server closes; the code it gives."""
        while (message := await self.communicator.receive_output(30))["type"] != "websocket.close":
            pass
        return int(message.get("code") or 1000)


@asynccontextmanager
async def wire() -> AsyncIterator[None]:
    """What the event loop opens of hub, presence and guard ends with the block."""
    try:
        yield
    finally:
        loop = asyncio.get_running_loop()
        for table in (_hubs, _keepers, _guards):
            if loop in table:
                await table.pop(loop).close()


@asynccontextmanager
async def connecting(
    *,
    origin: bytes | None = None,
    subprotocols: list[str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[bool, str | None, WireClient]]:
    """Whether a handshake is accepted, the subprotocol it is answered with, and the client."""
    named = [(b"host", HOST)] + ([(b"origin", origin)] if origin is not None else [])
    named += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    communicator = WebsocketCommunicator(application, "/ws", named, subprotocols)
    communicator.scope["client"] = ["198.51.100.7", 4711]
    accepted, subprotocol = await communicator.connect(timeout=30)
    try:
        yield accepted, subprotocol, WireClient(communicator)
    finally:
        await communicator.disconnect(timeout=30)

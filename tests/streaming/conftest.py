"""What the tests of connections share."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from tests.streaming.wire_client import wire

Json = dict[str, Any]
PATIENCE = 30.0
"""Seconds until a test gives up on a frame."""


class Client:
    """A WebSocket client of the ASGI application."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self._communicator = communicator
        self.greeting: Json = {}

    async def send(self, kind: str, data: Json | None = None, **envelope: Any) -> None:
        frame = {"type": kind, "data": data or {}, **envelope}
        await self._communicator.send_json_to(frame)

    async def send_text(self, text: str) -> None:
        await self._communicator.send_to(text_data=text)

    async def send_bytes(self, data: bytes) -> None:
        await self._communicator.send_to(bytes_data=data)

    async def next(self) -> Json:
        frame: Json = await self._communicator.receive_json_from(timeout=PATIENCE)
        return frame

    async def until(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """Every frame up to and with the first wanted one."""
        frames = [await self.next()]
        while not wanted(frames[-1]):
            frames.append(await self.next())
        return frames

    async def ask(self, kind: str, data: Json | None = None, **envelope: Any) -> Json:
        """Send a frame and return the next one."""
        await self.send(kind, data, **envelope)
        return await self.next()

    async def silent(self) -> list[Json]:
        """All that arrives before the answer to a heartbeat; empty when nothing was told."""
        await self.send("heartbeat")
        return (await self.until(lambda frame: frame["type"] == "heartbeat"))[:-1]


Open = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def fan_out() -> AsyncIterator[None]:
    """Closes what the event loop of the test has opened."""
    async with wire():
        yield


def communicator(headers: dict[str, str]) -> WebsocketCommunicator:
    """A handshake with the whole application: routes, sessions and consumer."""
    from quantumedge.asgi import application

    wire = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return WebsocketCommunicator(application, "/ws", headers=wire)


@pytest.fixture
def opened(fan_out: None) -> Open:
    """Opens a connection: ``async with opened(cookie=…) as client``."""

    @asynccontextmanager
    async def open_(**headers: str) -> AsyncIterator[Client]:
        handshake = communicator({"Host": "localhost", **headers})
        accepted, _ = await handshake.connect(timeout=PATIENCE)
        assert accepted
        client = Client(handshake)
        client.greeting = await client.next()
        yield client
        await handshake.disconnect(timeout=PATIENCE)

    return open_

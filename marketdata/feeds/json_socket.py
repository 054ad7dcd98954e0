"""A WebSocket that speaks JSON, with every failure told as one of the feed's two errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException

from marketdata.feeds.base import FeedInterruptedError, FeedRefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a feed may take, in seconds.

    Attributes:
        connect: Until the connection stands.
        reply: Until a question is answered.
        stall: Between two messages.
    """

    connect: float = 10.0
    reply: float = 10.0
    stall: float = 60.0


@dataclass(frozen=True, slots=True)
class JsonSocket:
    """An open connection."""

    socket: ClientConnection

    async def send(self, message: dict[str, Any]) -> None:
        """Send ``message`` as text."""
        await self.socket.send(json.dumps(message))

    async def receive(self, seconds: float) -> Any:
        """The next message.

        Raises:
            FeedInterruptedError: None came within ``seconds``, or it was not JSON.
        """
        try:
            async with asyncio.timeout(seconds):
                text = await self.socket.recv()
        except TimeoutError:
            raise FeedInterruptedError(f"no message for {seconds:g} s") from None
        try:
            return json.loads(text)
        except ValueError as error:
            raise FeedInterruptedError(f"a message is not JSON: {error}") from error


@asynccontextmanager
async def json_socket(url: str, timeouts: Timeouts) -> AsyncIterator[JsonSocket]:
    """Connect to ``url``; leaving the block closes the connection.

    Raises:
        FeedInterruptedError: No connection, or it broke off.
        FeedRefusedError: The server forbids us (HTTP 401 or 403), or the address is none.
    """
    try:
        async with connect(url, open_timeout=timeouts.connect, close_timeout=0.5) as socket:
            yield JsonSocket(socket)
    except InvalidStatus as error:
        kind = (
            FeedRefusedError if error.response.status_code in (401, 403) else FeedInterruptedError
        )
        raise kind(f"{url} answered HTTP {error.response.status_code}") from error
    except InvalidURI as error:
        raise FeedRefusedError(f"{url} is no WebSocket address") from error
    except (OSError, WebSocketException, TimeoutError) as error:
        raise FeedInterruptedError(f"{url}: {str(error) or type(error).__name__}") from error

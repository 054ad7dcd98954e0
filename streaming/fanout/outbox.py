"""What waits for one client: frames in order, and of prices only the newest of each symbol."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from django.conf import settings

from streaming.fanout.prices import PriceBatch
from streaming.protocol import CloseCode

Send = Callable[[str], Awaitable[None]]
Start = Callable[[Coroutine[Any, Any, None], str], None]


class Flow(Protocol):
    """How fast the client reads, as the web server sees it, and the short way to its socket."""

    @property
    def writable(self) -> bool:
        """Whether the socket takes more."""

    async def drained(self) -> None:
        """Wait until it does."""

    def send(self, payload: bytes) -> None:
        """Write a text message, whether or not the socket takes it yet."""

    def abort(self) -> None:
        """Drop the connection at once."""


class Outbox:
    """Writes to one client as fast as it reads and no faster.

    Frames keep their order and are never dropped; a client that lets more than
    ``MAX_OUTBOX_BYTES`` of them pile up is dropped instead. Prices are conflated: a client that
    lags skips the prices in between. While nothing waits, a frame is written at once, and nothing
    but this object exists; a task begins with the first frame that must wait.

    Args:
        client_id: Added to every frame.
        flow: The client's flow; None for a web server that brings none.
        send: The way through Channels, for such a server.
        start: Starts a task that belongs to the connection.
    """

    __slots__ = (
        "_bytes",
        "_closed",
        "_draining",
        "_flow",
        "_frames",
        "_overflow",
        "_prices",
        "_send",
        "_start",
        "_tail",
    )

    def __init__(self, client_id: str, flow: Flow | None, send: Send, start: Start) -> None:
        self._tail = f',"client_id":"{client_id}"}}'.encode()
        self._flow = flow
        self._send = send
        self._start = start
        # A list: an empty deque takes ten times the room, and few frames ever wait.
        self._frames: list[bytes] = []
        self._bytes = 0
        self._prices: PriceBatch | None = None
        self._draining = self._closed = False
        self._overflow: Callable[[CloseCode], None] | None = None

    def on_overflow(self, callback: Callable[[CloseCode], None]) -> None:
        """Call back once when the client has let too much pile up."""
        self._overflow = callback

    def put(self, frame: Mapping[str, Any]) -> None:
        """Add a frame, to which the receiving client's id is added."""
        self.put_text(json.dumps(frame, separators=(",", ":"), allow_nan=False))

    def put_text(self, text: str) -> None:
        """Add a frame that is JSON already and lacks only the client's id."""
        payload = text[:-1].encode() + self._tail
        if self._write(payload):
            return
        self._frames.append(payload)
        self._bytes += len(payload)
        self._drain_later()
        if self._bytes > settings.MAX_OUTBOX_BYTES and self._overflow is not None:
            callback, self._overflow = self._overflow, None
            callback(CloseCode.SLOW_CONSUMER)

    def put_prices(self, batch: PriceBatch) -> None:
        """Add newest prices; they replace those that still wait."""
        if self._write(batch.body + self._tail):
            return
        self._prices = batch if self._prices is None else self._prices.then(batch)
        self._drain_later()

    def close(self) -> None:
        """Write nothing more, not even what waits."""
        self._closed = True
        self._frames.clear()
        self._prices = None

    def _write(self, payload: bytes) -> bool:
        """Write at once; False when the client lags or something else waits to be written first."""
        if self._closed:
            return True
        if self._draining or self._flow is None or not self._flow.writable:
            return False
        self._flow.send(payload)
        return True

    def _drain_later(self) -> None:
        if not self._draining:
            self._draining = True
            self._start(self._drain(), "outbox")

    async def _drain(self) -> None:
        """Write what waits, and end when nothing does."""
        while self._frames or self._prices is not None:
            if self._flow is None:
                await self._send(self._take().decode())
            elif self._flow.writable:
                self._flow.send(self._take())
            else:
                await self._flow.drained()
        self._draining = False

    def _take(self) -> bytes:
        """What is to be written next: frames first, because prices are replaced anyhow."""
        if self._frames:
            payload = self._frames.pop(0)
            self._bytes -= len(payload)
            return payload
        assert self._prices is not None  # noqa: S101 - one or the other waits
        prices, self._prices = self._prices, None
        return prices.body + self._tail

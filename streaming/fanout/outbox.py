"""What waits for one client: frames in order, and of prices only the newest of each symbol."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from django.conf import settings

from streaming.fanout.prices import PriceBatch
from streaming.protocol import CloseCode

Send = Callable[[str], Awaitable[None]]


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
    lags skips the prices in between. While nothing waits, a frame is written at once.

    Args:
        client_id: Added to every frame.
        send: The way through Channels, for a web server that brings no flow.
        flow: The client's flow.
    """

    def __init__(self, client_id: str, send: Send, flow: Flow | None) -> None:
        self._tail = f',"client_id":"{client_id}"}}'.encode()
        self._send = send
        self._flow = flow
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._prices: PriceBatch | None = None
        self._ready = asyncio.Event()
        self._running = False
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
        if self._write_at_once(payload):
            return
        self._frames.append(payload)
        self._bytes += len(payload)
        self._ready.set()
        if self._bytes > settings.MAX_OUTBOX_BYTES and self._overflow is not None:
            callback, self._overflow = self._overflow, None
            callback(CloseCode.SLOW_CONSUMER)

    def put_prices(self, batch: PriceBatch) -> None:
        """Add newest prices; they replace those that still wait."""
        if self._write_at_once(batch.body + self._tail):
            return
        self._prices = batch if self._prices is None else self._prices.then(batch)
        self._ready.set()

    async def run(self) -> None:
        """Write until cancelled."""
        self._running = True
        try:
            await self._write()
        finally:
            self._running = False

    def _write_at_once(self, payload: bytes) -> bool:
        """Write past everything that costs time, if nothing waits to be written first."""
        if self._flow is None or not self._running or self._ready.is_set():
            return False
        if self._frames or self._prices is not None or not self._flow.writable:
            return False
        self._flow.send(payload)
        return True

    async def _write(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while (payload := self._peek()) is not None:
                if self._flow is not None and not self._flow.writable:
                    await self._flow.drained()
                    # Newer prices may have come while the client did not read.
                    payload = self._peek() or payload
                self._taken()
                if self._flow is not None:
                    self._flow.send(payload)
                else:
                    await self._send(payload.decode())

    def _peek(self) -> bytes | None:
        """What is to be written next."""
        if self._frames:
            return self._frames[0]
        return None if self._prices is None else self._prices.body + self._tail

    def _taken(self) -> None:
        """Strike out what ``_peek`` gave."""
        if self._frames:
            self._bytes -= len(self._frames.popleft())
        else:
            self._prices = None

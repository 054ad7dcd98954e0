"""Clients for the load benchmarks: many sockets in one process, with little work for each."""

import asyncio
import json
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, PONG, TEXT, CLOSE = 9, 10, 1, 8
STAMP = b'"timestamp":'


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame with a mask of zeros, which changes nothing."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    else:
        head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


@dataclass
class Tally:
    """What many clients received.

    Attributes:
        delays: Seconds from the tick's publication to its arrival, per price message.
        closed: Clients whose connection has ended.
        all_closed: Set when none of the ``expected`` ones is left.
        expected: How many connections were opened.
    """

    delays: "array[float]" = field(default_factory=lambda: array("d"))
    closed: int = 0
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)
    expected: int = 0

    def take(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The delays since the last call."""
        taken = np.array(self.delays)
        del self.delays[:]
        return taken


class Client(asyncio.Protocol):
    """One WebSocket; prices are counted, other frames go to ``on_frame``.

    Attributes:
        greeting: The first frame's data.
        on_frame: Called with each decoded frame that is no price.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.greeting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.on_frame: Callable[[dict[str, Any]], None] = lambda _frame: None
        self._buffer = bytearray()
        self._upgraded = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(HANDSHAKE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tally.closed += 1
        if self.tally.closed >= self.tally.expected:
            self.tally.all_closed.set()
        if not self.greeting.done():
            self.greeting.set_exception(exc or ConnectionError("closed before the greeting"))

    def send(self, frame: dict[str, Any]) -> None:
        self.transport.write(masked(TEXT, json.dumps(frame).encode()))

    def data_received(self, data: bytes) -> None:
        arrived = time.time()
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                self.greeting.set_exception(ConnectionError(bytes(self._buffer[:60]).decode()))
                self.transport.close()
                return
            self._upgraded = True
            del self._buffer[: end + 4]
        while len(self._buffer) >= 2 and self._take(arrived):
            pass

    def _take(self, arrived: float) -> bool:
        opcode, size, start = self._buffer[0] & 15, self._buffer[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(self._buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(self._buffer[2:10], "big"), 10
        if len(self._buffer) < start + size:
            return False
        payload = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        if opcode == PING:
            self.transport.write(masked(PONG, payload))
        elif opcode == TEXT and b'"price_update"' in payload[:40]:
            place = payload.rindex(STAMP) + len(STAMP)
            end = payload.find(b",", place)
            stamp = payload[place : end if end > 0 else len(payload) - 1].rstrip(b"}")
            self.tally.delays.append(arrived - float(stamp))
        elif opcode == TEXT:
            self._heard(json.loads(payload))
        return True

    def _heard(self, frame: dict[str, Any]) -> None:
        if not self.greeting.done():
            self.greeting.set_result(frame["data"])
        else:
            self.on_frame(frame)


async def connect(port: int, count: int, tally: Tally) -> list[Client]:
    """Open connections, fifty at a time, and wait for every greeting."""
    loop = asyncio.get_running_loop()
    tally.expected += count
    clients: list[Client] = []
    for first in range(0, count, 50):
        opening = [
            loop.create_connection(lambda: Client(tally), "127.0.0.1", port)
            for _ in range(min(50, count - first))
        ]
        opened = [protocol for _, protocol in await asyncio.gather(*opening)]
        await asyncio.gather(*(client.greeting for client in opened))
        clients += opened
    return clients


def subscribe(clients: list[Client], topic: str) -> None:
    """Have every client hear a topic."""
    for client in clients:
        client.send({"type": "subscribe", "data": {"topic": topic}})


def milliseconds(seconds: Any) -> dict[str, float]:
    """Median, 99th percentile and number of some durations."""
    values = np.asarray(seconds, dtype=float) * 1e3
    if not values.size:
        return {"p50_ms": float("nan"), "p99_ms": float("nan"), "count": 0}
    p50, p99 = np.quantile(values, (0.5, 0.99))
    return {"p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1), "count": values.size}

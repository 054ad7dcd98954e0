"""A TCP proxy of our own that delays, resets or swallows what passes through it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int] | str
"""A TCP address, or the path of a unix socket."""

CHUNK = 65_536


@dataclass
class _Flow:
    """One connection through the proxy.

    Attributes:
        writers: To whoever connected, and to whom it connected.
        muted: Whether all that comes is swallowed, an end included.
    """

    writers: list[asyncio.StreamWriter]
    muted: bool = False


class Proxy:
    """Listens on a free port of the loopback and forwards to ``upstream``.

    It runs in a thread of its own, so that tests whose event loops come and go can share it.
    """

    def __init__(self, upstream: Address) -> None:
        self.upstream = upstream
        self.delay = 0.0
        self.upstream_ports: list[int] = []
        """Local ports of the TCP connections to the server, in the order of their making."""
        self._until_reset: int | None = None
        self._resetting: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._flows: dict[asyncio.Task[None], _Flow] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.port: int = self._do(self._start())

    @contextmanager
    def delaying(self, seconds: float) -> Iterator[None]:
        """Every piece arrives so much later."""
        self.delay = seconds
        try:
            yield
        finally:
            self.delay = 0.0

    def mute(self) -> None:
        """Half-open: every connection of this moment stays and never says anything again.

        Nothing announces it, not even later; new connections pass as ever.
        """
        self._do(self._mute())

    def reset(self) -> None:
        """End every connection by a reset, in the middle of whatever passes."""
        self._do(self._reset())

    def reset_after(self, size: int) -> None:
        """The same once the server has sent so many more bytes: in the middle of a frame."""
        self._until_reset = size

    def close(self) -> None:
        """Stop for good."""
        self._do(self._stop())
        self._call(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _call(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        self._server.close()
        await self._reset()

    async def _mute(self) -> None:
        for flow in self._flows.values():
            flow.muted = True

    async def _reset(self) -> None:
        tasks = dict(self._flows)
        for task, flow in tasks.items():
            for writer in flow.writers:
                _abort(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = _Flow([writer])
        task = self._loop.create_task(self._forward(flow, reader, writer))
        self._flows[task] = flow
        task.add_done_callback(self._flows.pop)

    async def _forward(
        self, flow: _Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            if isinstance(self.upstream, str):
                there, back = await asyncio.open_unix_connection(self.upstream)
            else:
                there, back = await asyncio.open_connection(*self.upstream)
                self.upstream_ports.append(back.get_extra_info("sockname")[1])
            flow.writers.append(back)
            pumps = [
                asyncio.create_task(self._pump(flow, reader, back)),
                asyncio.create_task(self._pump(flow, there, writer, self._let_through)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                back.close()
        except OSError:
            # The server behind is away: to the client that is a refusal.
            _abort(writer)
        finally:
            writer.close()

    def _let_through(self, piece: bytes) -> bytes:
        """What of a piece the client still gets before a reset that is due."""
        if self._until_reset is None:
            return piece
        piece = piece[: self._until_reset]
        self._until_reset -= len(piece)
        if self._until_reset == 0:
            self._until_reset = None
            # The loop holds tasks weakly; and it sends the piece before it runs this one.
            self._resetting = self._loop.create_task(self._reset())
        return piece

    async def _pump(
        self,
        flow: _Flow,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        let_through: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """Forward one direction; pieces overlap their delays, as on a long line."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1000)
        taking = asyncio.create_task(self._take(reader, due))
        try:
            while True:
                at, piece = await due.get()
                await asyncio.sleep(max(0.0, at - self._loop.time()))
                if flow.muted:
                    continue
                if not piece:
                    return
                writer.write(let_through(piece))
                await writer.drain()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)

    async def _take(
        self, reader: asyncio.StreamReader, due: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        piece = b"more"
        while piece:
            try:
                piece = await reader.read(CHUNK)
            except ConnectionError:
                piece = b""
            await due.put((self._loop.time() + self.delay, piece))


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    handle: socket.socket | None = writer.get_extra_info("socket")
    if handle is not None and handle.family != socket.AF_UNIX and handle.fileno() >= 0:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def proxying(upstream: Address) -> Iterator[Proxy]:
    """A proxy for one block."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()

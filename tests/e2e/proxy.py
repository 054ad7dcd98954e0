"""A stretch of wire between a client and the server that a test can cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536


class Proxy:
    """Passes bytes on until it is told to cut.

    Args:
        host: Where to.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._rest: int | None = None
        self.port = 0
        self.upstream_ports: list[int] = []
        """Local ports of the connections to the server, in the order in which they were made."""

    def cut(self, after: int = 0) -> None:
        """Cut every connection once the server has sent ``after`` more bytes: amid a frame."""
        if after:
            self._rest = after
        else:
            self._abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        try:
            down, up = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        self.upstream_ports.append(up.get_extra_info("sockname")[1])
        self._writers |= {writer, up}
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        await asyncio.gather(self._up(reader, up), self._down(down, writer))
        self._writers -= {writer, up}
        self._passing.discard(task)

    async def end(self) -> None:
        """Cut everything and wait until it has ended."""
        self._abort()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._rest is not None:
                    data = data[: self._rest]
                    self._rest -= len(data)
                writer.write(data)
                await writer.drain()
                if self._rest == 0:
                    self._rest = None
                    self._abort()
        writer.close()


@asynccontextmanager
async def cuttable(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy on a free port of the loopback."""
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()

"""Daphne, with the bounds that a server for strangers' sockets needs.

Daphne's ``send`` never waits for the socket (Daphne #170) and its inbox has no bound either: one
client that stops reading, or writes faster than it is served, costs memory without end. Here each
WebSocket's :class:`Flow` tells the application when the client lags, and stops reading from a
client whose messages wait. Everything else is Daphne's own.
"""

from daphne.server import Server  # isort: skip - first: it installs Twisted's asyncio reactor

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from quantumedge.flow import FLOW, MESSAGE_CAP_BYTES, Application, Flow, Message, counted
from quantumedge.readiness import tell_ready
from streaming.cancelling import end_tasks

logger = logging.getLogger(__name__)

BODY_CAP_BYTES = 4 * 1024 * 1024
"""Twisted keeps a request's body on disk before the application sees it; above this it is 413."""
PING_SECONDS = 10
PONG_SECONDS = 15
HTTP_SECONDS = 60
REQUEST_SECONDS = 10.0
"""How long a client may take to send a request or a handshake, headers and body together."""
CLOSE_SECONDS = 2.0
"""How long a stopping server waits for closing handshakes and for its applications."""
OPENING_SECONDS = 0.3
"""How long a stopping server waits for connections that have not sent a request yet."""
CLOSE_RESTARTING = 4500
"""``streaming.protocol.CloseCode.SERVER_RESTART``, which only a set up Django can import."""


class PacedProtocol(WebSocketProtocol):  # type: ignore[misc]  # Daphne has no types
    """Daphne's WebSocket with a :class:`Flow`."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = Flow(self)

    def onOpen(self) -> None:  # noqa: N802 - autobahn's interface
        """Become the transport's producer, in the place of the HTTP channel that it came from."""
        super().onOpen()
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.flow, True)
        if self.server.all_begun is not None:
            self.send_away()

    def send_away(self) -> None:
        """Tell the client to come back: to the process that takes this one's place."""
        self.sendClose(CLOSE_RESTARTING, "the server restarts: connect again")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802
        """Pass a message on, and count it if it has to wait."""
        if self.muted or not self.flow.hand_over(payload, isBinary):
            super().onMessage(payload, isBinary)
            self.flow.arrived(len(payload))
        else:
            self.last_ping = time.time()


class BoundedRequest(WebRequest):  # type: ignore[misc]  # Daphne has no types
    """Daphne's HTTP request, refused as soon as its body is too large or too slow in coming."""

    _refused = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._deadline = _call_later(REQUEST_SECONDS, self._expire)
        super().__init__(*args, **kwargs)

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's interface
        """Look at the length that the headers announce; None if they announce none."""
        super().gotLength(length)
        if length is not None and length > BODY_CAP_BYTES:
            self._refuse(b"413 Content Too Large")

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Keep a part of the body."""
        if not self._refused and self.content.tell() + len(data) > BODY_CAP_BYTES:
            self._refuse(b"413 Content Too Large")
        if not self._refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Hand a complete request to the application."""
        self._stop_waiting()
        if not self._refused:
            super().requestReceived(command, path, version)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """The client is gone."""
        self._stop_waiting()
        super().connectionLost(reason)

    def _expire(self) -> None:
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        self._refused = True
        self.channel.transport.write(
            b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.channel.transport.loseConnection()

    def _stop_waiting(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()


class BoundedFactory(HTTPFactory):  # type: ignore[misc]  # Daphne has no types
    """Daphne's factory, making :class:`BoundedRequest` on connections that begin one in time."""

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's interface
        """Build one connection's protocol."""
        channel = super().buildProtocol(addr)

        self.server.opening.add(channel)

        def drop() -> None:
            self.server.begun(channel)
            # The transport is the inner channel's, and is there only once the client is connected.
            channel._channel.transport.abortConnection()

        opening = _call_later(REQUEST_SECONDS, drop)

        def begin(*args: Any, **kwargs: Any) -> BoundedRequest:
            self.server.begun(channel)
            if opening.active():
                opening.cancel()
            return BoundedRequest(*args, **kwargs)

        channel.requestFactory = begin
        return channel


def _call_later(seconds: float, function: Callable[[], None]) -> Any:
    """Twisted's ``callLater``; its interface is typed as if it were the function."""
    clock: Any = reactor
    return clock.callLater(seconds, function)


class PacedServer(Server):  # type: ignore[misc]  # Daphne has no types
    """Daphne on a listening socket that it is given, with bounded connections."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        ping_interval: float = PING_SECONDS,
        ping_timeout: float = PONG_SECONDS,
    ) -> None:
        super().__init__(
            application=counted(application),
            endpoints=["unused"],
            ready_callable=self._begin,
            verbosity=0,
            http_timeout=HTTP_SECONDS,
            websocket_timeout=-1,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            websocket_max_message_size=MESSAGE_CAP_BYTES,
            websocket_max_frame_size=MESSAGE_CAP_BYTES,
            application_close_timeout=5,
            server_name="quantumedge",
        )
        # Daphne insists on an endpoint; ours is the socket.
        self.endpoints: list[str] = []
        self.listener = listener
        self.port: Any = None
        self.opening: set[Any] = set()
        """Connections that have not said yet what they want."""
        self.all_begun: asyncio.Event | None = None
        """Set when a draining server has none of them left."""

    def _begin(self) -> None:
        """Finish the factory that Daphne has just made, and listen."""
        self.http_factory = BoundedFactory(self)
        self.ws_factory.protocol = PacedProtocol
        # A client that breaks the protocol is told so by a close code before it is dropped.
        self.ws_factory.setProtocolOptions(
            failByDrop=False,
            echoCloseCodeReason=True,
            closeHandshakeTimeout=CLOSE_SECONDS,
            tcpNoDelay=True,
        )
        self.port = reactor.adoptStreamPort(
            self.listener.fileno(), self.listener.family, BoundedFactory(self)
        )
        self.listen_success(self.port)
        clock: Any = reactor
        signal.signal(signal.SIGUSR2, lambda *_: clock.callFromThread(self.log_holdings))
        tell_ready()

    def log_holdings(self) -> None:
        """Write into the log what this process holds: a leak shows as a number that only grows."""
        logger.info(
            "holding connections=%d tasks=%d", len(self.connections), len(asyncio.all_tasks())
        )

    def begun(self, channel: Any) -> None:
        """A connection has said what it wants, or is gone."""
        self.opening.discard(channel)
        if self.all_begun is not None and not self.opening:
            self.all_begun.set()

    def create_application(self, protocol: Any, scope: Message) -> Any:
        """Start the application with the connection's flow in its scope."""
        if isinstance(protocol, PacedProtocol):
            scope.setdefault("extensions", {})[FLOW] = protocol.flow
        return super().create_application(protocol, scope)

    def kill_all_applications(self) -> "Deferred[None]":
        """Tell the clients to come back, let the applications end, then cancel the rest."""
        return Deferred.fromFuture(asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        self.all_begun = asyncio.Event()
        if self.port is not None:
            self.port.stopListening()
        for protocol in list(self.connections):
            if (
                isinstance(protocol, PacedProtocol)
                and protocol.state == WebSocketProtocol.STATE_OPEN
            ):
                protocol.send_away()
        # Who had just come is heard before he is sent away, too; a reset would tell him nothing.
        if self.opening:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all_begun.wait(), OPENING_SECONDS)
        running = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details
        ]
        if running:
            _, late = await asyncio.wait(running, timeout=CLOSE_SECONDS)
            await end_tasks(late)

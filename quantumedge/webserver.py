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
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from quantumedge.readiness import tell_ready

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
Receiver = Callable[[str | None], bool]
"""Takes a text message, or None for a binary one; says whether it did."""

FLOW = "quantumedge.flow"
"""Key of the connection's :class:`Flow` in ``scope["extensions"]``."""

MESSAGE_CAP_BYTES = 4 * 1024 * 1024
"""Above it the connection is closed with 1009; below it the application answers what is too big."""
BODY_CAP_BYTES = 4 * 1024 * 1024
"""Twisted keeps a request's body on disk before the application sees it; above this it is 413."""
INBOX_MESSAGES = 64
INBOX_BYTES = 2 * MESSAGE_CAP_BYTES
"""A client with this much unread input is not read from until half of it is handled."""
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


class Flow:
    """One client's reading speed: a push producer on its transport, and the short way to and fro.

    All of it belongs to the event loop's thread.
    """

    __slots__ = ("_inbox_bytes", "_inbox_messages", "_paused", "_protocol", "_receiver", "_resumed")

    def __init__(self, protocol: "PacedProtocol") -> None:
        self._protocol = protocol
        self._resumed: asyncio.Event | None = None
        self._receiver: Receiver | None = None
        self._inbox_bytes = 0
        self._inbox_messages = 0
        self._paused = False

    @property
    def writable(self) -> bool:
        """Whether the socket takes more; a closed one counts as writable, so that nobody waits."""
        return self._resumed is None

    async def drained(self) -> None:
        """Wait until the socket takes more or the connection is gone."""
        if self._resumed is not None:
            await self._resumed.wait()

    def send(self, payload: bytes) -> None:
        """Write a text message; one to a connection that is closing is dropped."""
        if self._protocol.state == WebSocketProtocol.STATE_OPEN:
            # Past Channels, Daphne and autobahn, which spend four times as long on a message.
            message = _text_header(len(payload)) + payload
            sent = _write_now(self._protocol.transport, message)
            if sent < len(message):
                self._protocol.transport.write(message[sent:])

    def on_message(self, receiver: Receiver | None) -> None:
        """Hand messages to a receiver as they come, once those before them are handled.

        One that it does not take goes into the application's inbox, and so do those that follow,
        until the application has handled them all. None ends that.
        """
        self._receiver = receiver

    def hand_over(self, payload: bytes, is_binary: bool) -> bool:
        """Hand a message to the receiver; False when it is for the inbox."""
        is_open = self._protocol.state == WebSocketProtocol.STATE_OPEN
        if self._receiver is None or self._inbox_messages or not is_open:
            return False
        # Past Daphne and Channels, whose queue and tasks cost more than most messages do.
        return self._receiver(None if is_binary else payload.decode())

    def abort(self) -> None:
        """Drop the connection at once, with all that waits in its buffers."""
        self._protocol.transport.abortConnection()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's interface
        """The transport's buffer is full."""
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resumeProducing(self) -> None:  # noqa: N802
        """The transport's buffer is empty again."""
        self._wake()
        if self._protocol.transport.disconnecting:
            # A transport that closes waits for its producer to end first.
            self._protocol.transport.unregisterProducer()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is gone."""
        self._wake()

    def arrived(self, size: int) -> None:
        """Count a message of ``size`` bytes into the inbox; stop reading when it is full."""
        self._inbox_messages += 1
        self._inbox_bytes += size
        if not self._paused and self._inbox_full(1.0):
            self._paused = True
            self._protocol.transport.pauseProducing()

    def taken(self, size: int) -> None:
        """Count a message of ``size`` bytes out of the inbox; read on when it is half empty."""
        self._inbox_messages -= 1
        self._inbox_bytes -= size
        if self._paused and not self._inbox_full(0.5):
            self._paused = False
            self._protocol.transport.resumeProducing()

    def _inbox_full(self, share: float) -> bool:
        return (
            self._inbox_messages >= INBOX_MESSAGES * share
            or self._inbox_bytes >= INBOX_BYTES * share
        )

    def _wake(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None


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


def _text_header(size: int) -> bytes:
    """What precedes a message of ``size`` bytes: final, text, unmasked (RFC 6455, section 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


def _write_now(transport: Any, data: bytes) -> int:
    """Write to a socket for which nothing waits; returns how many bytes it took.

    Twisted asks the event loop first whether the socket takes any, and writes in its next turn.
    """
    if transport.dataBuffer or transport._tempDataBuffer or not transport.connected:
        return 0
    written = transport.writeSomeData(data)
    # What is no number is an error, which Twisted meets again and deals with.
    return written if isinstance(written, int) else 0


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
            application=_counted(application),
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
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _counted(application: Application) -> Application:
    """The application, counting each message of its inbox out when it has handled it."""

    async def run(scope: Message, receive: Receive, send: Send) -> None:
        flow: Flow | None = scope.get("extensions", {}).get(FLOW)
        if flow is None:
            await application(scope, receive, send)
            return

        handled: int | None = None

        async def take() -> Message:
            nonlocal handled
            # Whoever asks for the next message has handled the one before.
            if handled is not None:
                flow.taken(handled)
                handled = None
            message = await receive()
            if message["type"] == "websocket.receive":
                text, data = message.get("text"), message.get("bytes")
                handled = len(text.encode()) if text is not None else len(data or b"")
            return message

        await application(scope, take, send)

    return run

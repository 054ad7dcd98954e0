"""How fast one client reads and is read from, and the short way between its socket and us."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from daphne.ws_protocol import WebSocketProtocol

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
INBOX_MESSAGES = 64
INBOX_BYTES = 2 * MESSAGE_CAP_BYTES
"""A client with this much unread input is not read from until half of it is handled."""


class Flow:
    """One client's reading speed: a push producer on its transport, and the short way to and fro.

    All of it belongs to the event loop's thread.
    """

    __slots__ = ("_inbox_bytes", "_inbox_messages", "_paused", "_protocol", "_receiver", "_resumed")

    def __init__(self, protocol: Any) -> None:
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


def counted(application: Application) -> Application:
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

"""The WebSocket consumer: a switchboard between frames, services and the fan-out."""

import asyncio
import contextvars
import json
import logging
import secrets
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from optimization.engine.problem import Objective
from optimization.engine.registry import available_methods
from streaming.access.credentials import Credential
from streaming.access.guard import guard
from streaming.access.handshake import (
    AUTH_SECONDS,
    Handshake,
    check_allowed,
    credential_of,
    decode_auth,
)
from streaming.access.rate import TokenBucket
from streaming.access.tokens import TokenError
from streaming.decoding import FrameError, Message, decode
from streaming.fanout.connection import Connection
from streaming.fanout.history import Place
from streaming.fanout.hub import hub
from streaming.fanout.outbox import Outbox
from streaming.fanout.presence_task import presence
from streaming.handlers import HANDLERS, Session
from streaming.protocol import (
    AuthenticatedData,
    ClientMessage,
    CloseCode,
    ConnectionStatusData,
    ErrorCode,
    HeartbeatReplyData,
    Limits,
    ServerMessage,
    error_frame,
    server_frame,
)

logger = logging.getLogger(__name__)

INBOX_MESSAGES = 64
"""Frames of one client that may wait for their turn; then its socket is not read from."""

MAX_FRAMES_BEFORE_AUTH = 20
"""Frames other than ``auth`` that are answered before a client has signed in."""

FLOW_EXTENSION = "quantumedge.flow"


class OptimizationConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    """One client's connection.

    Heartbeats are answered at once; everything else takes its turn in an inbox, so that a slow
    database never makes a client believe that the server is dead.
    """

    # Frames come through the process' hub, so a connection needs no channel of its own.
    channel_layer_alias = None

    session: Session | None = None
    deadline: asyncio.TimerHandle | None = None
    """Set while a client that showed no credentials may still sign in."""

    _strangers_frames = 0

    async def connect(self) -> None:
        """Check who connects, then greet."""
        handshake = Handshake.of(self.scope)
        if not handshake.is_welcome:
            await self.close()
            return
        self.client_id = f"client{secrets.token_hex(6)}"
        bind_contextvars(client_id=self.client_id)
        self._context = contextvars.copy_context()
        self._inbox: list[Message] = []
        self._working = self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._bucket = TokenBucket.full(settings.MAX_MESSAGES_PER_SECOND, time.monotonic())
        await self.accept(handshake.subprotocol)
        try:
            credential = await handshake.credential()
        except TokenError as error:
            await self._refuse(str(error))
            return
        if credential is not None:
            await self._open(credential)
        elif await guard().admit_stranger(self.client_id, handshake.address):
            loop = asyncio.get_running_loop()
            detail = f"no credentials came within {AUTH_SECONDS:g} seconds; send auth first"
            self.deadline = loop.call_later(AUTH_SECONDS, self._end, detail)
        else:
            await self._turn_away("MAX_STRANGERS_PER_ADDRESS", settings.MAX_STRANGERS_PER_ADDRESS)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the connection."""
        # Autobahn refuses an integer that is of an enumeration.
        await super().close(None if code is None else int(code), reason)

    async def _open(self, credential: Credential, reply: Mapping[str, Any] | None = None) -> None:
        """Join the fan-out; ``reply`` answers the client's ``auth`` and comes before the rest."""
        if not await guard().admit_user(self.client_id, credential):
            await self._turn_away("MAX_CONNECTIONS_PER_USER", settings.MAX_CONNECTIONS_PER_USER)
            return
        flow = self.scope.get("extensions", {}).get(FLOW_EXTENSION)
        outbox = Outbox(self.client_id, flow, self.send, self._start)
        outbox.on_overflow(self._drop)
        connection = Connection(self.client_id, credential.owner, outbox)
        self.flow = flow
        self.credential = credential
        try:
            place = await hub().join(connection)
        except RedisError:
            place = Place("", 0)
        self.session = Session(connection, place)
        if flow is not None:
            flow.on_message(self._take)
        if reply is not None:
            outbox.put(reply)
        status = _status(self.session, credential.username)
        outbox.put(server_frame(ServerMessage.CONNECTION_STATUS, status))
        detail = "the token or the session has ended; sign in again"
        guard().watch(self.client_id, credential, lambda: self._end(detail))
        await presence().changed(connection)

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - Channels' interface
        """Forget the connection; its requests go on."""
        self._stop_waiting()
        if self.session is not None:
            self._stop()
            with suppress(RedisError):
                await hub().leave(self.session.connection)
            await presence().gone(self.session.connection)
        if hasattr(self, "client_id"):
            await guard().release(self.client_id)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:  # noqa: ARG002
        """Take one frame that came through Channels, as soon as there is room for it."""
        if self.session is None:
            await self._sign_in(text_data)
            return
        while not self._take(text_data):
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _take(self, text: str | None) -> bool:
        """Answer a heartbeat or an error at once, queue the rest; False when the inbox is full."""
        assert self.session is not None  # noqa: S101 - frames are taken once it is open
        if len(self._inbox) >= INBOX_MESSAGES:
            return False
        outbox = self.session.connection.outbox
        if not self._bucket.take(time.monotonic()):
            outbox.put(_too_fast())
            if self._bucket.ignored:
                self._drop(CloseCode.TOO_MANY_MESSAGES)
            return True
        try:
            message = decode(text)
        except FrameError as error:
            outbox.put(_refusal(error))
            return True
        if message.type is ClientMessage.HEARTBEAT:
            reply = HeartbeatReplyData(server_time=_now())
            outbox.put(server_frame(ServerMessage.HEARTBEAT, reply, message.echo))
        elif not self._stopped:
            self._inbox.append(message)
            if not self._working:
                self._working = True
                self._start(self._work(), "inbox")
        return True

    async def _sign_in(self, text: str | None) -> None:
        """Take a frame of a client that showed no credentials: only ``auth`` helps it."""
        if self.deadline is None:
            return
        try:
            message, token = decode_auth(text)
            credential = await credential_of(token)
        except FrameError as error:
            await self._tell(_refusal(error))
            self._strangers_frames += 1
            if self._strangers_frames >= MAX_FRAMES_BEFORE_AUTH:
                self._end("too many frames came before auth")
            return
        except TokenError as error:
            self._end(str(error))
            return
        if not self._stop_waiting():
            # Its time ran out while the token was looked up.
            return
        await guard().release(self.client_id)
        reply = server_frame(ServerMessage.AUTH, _authenticated(credential), message.echo)
        await self._open(credential, reply)

    async def _work(self) -> None:
        """Handle this client's frames one after the other, until none waits."""
        assert self.session is not None  # noqa: S101 - only then a frame is kept
        while self._inbox:
            message = self._inbox.pop(0)
            try:
                check_allowed(self.credential, message)
                await HANDLERS[message.type](self.session, message)
            except FrameError as error:
                self.session.connection.outbox.put(_refusal(error))
            except (RedisError, OSError) as error:
                detail = f"the server cannot reach one of its backends ({type(error).__name__})"
                refusal = FrameError(
                    ErrorCode.SERVICE_UNAVAILABLE, detail + "; retry later", (), message.echo
                )
                self.session.connection.outbox.put(_refusal(refusal))
        self._working = False

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task that ends with the connection; an idle connection has none."""
        # In the connection's context: a frame may come straight from the web server's.
        task = asyncio.create_task(work, name=f"{name} {self.client_id}", context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Close a connection that a defect of ours left without its reader or its writer."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("%s ended", task.get_name(), exc_info=error)
            self._drop(CloseCode.INTERNAL_ERROR)

    def _drop(self, code: CloseCode) -> None:
        """Disconnect a client that does not read: politely if the socket takes it, then at once."""
        asyncio.get_running_loop().create_task(self.close(code))
        if self.flow is not None:
            asyncio.get_running_loop().call_later(1.0, self.flow.abort)

    def _end(self, detail: str) -> None:
        """Close a connection that nothing entitles any longer; nothing more of it is served."""
        self._stop_waiting()
        if self.session is not None:
            self._stop()
        asyncio.get_running_loop().create_task(self._refuse(detail))

    def _stop_waiting(self) -> bool:
        """Wait for ``auth`` no longer; whether it was still waited for."""
        if self.deadline is None:
            return False
        self.deadline.cancel()
        self.deadline = None
        return True

    def _stop(self) -> None:
        """Take nothing more and tell nothing more."""
        assert self.session is not None  # noqa: S101 - only an open connection is stopped
        self._stopped = True
        if self.flow is not None:
            self.flow.on_message(None)
        self._inbox.clear()
        self.session.connection.outbox.close()
        for task in list(self._tasks):
            task.cancel()

    async def _refuse(self, detail: str) -> None:
        await self._tell(error_frame(ErrorCode.UNAUTHENTICATED, detail))
        await self.close(CloseCode.UNAUTHENTICATED)

    async def _turn_away(self, setting: str, limit: int) -> None:
        detail = f"{setting} is {limit}; close another connection first"
        await self._tell(error_frame(ErrorCode.RATE_LIMITED, detail))
        await self.close(CloseCode.TOO_MANY_CONNECTIONS)

    async def _tell(self, frame: Mapping[str, Any]) -> None:
        """Send a frame to a client that has no outbox, or none that is still written from."""
        await self.send(json.dumps({**frame, "client_id": self.client_id}, allow_nan=False))


def _status(session: Session, username: str) -> ConnectionStatusData:
    return ConnectionStatusData(
        status="connected",
        client_id=session.connection.client_id,
        server_time=_now(),
        epoch=session.joined.epoch,
        seq=session.joined.seq,
        user=username or None,
        methods=list(available_methods()),
        objectives=list(Objective),
        limits=Limits(
            max_symbols=settings.MAX_SYMBOLS,
            max_message_bytes=settings.MAX_MESSAGE_BYTES,
            max_messages_per_second=settings.MAX_MESSAGES_PER_SECOND,
            max_queue_size=settings.MAX_QUEUE_SIZE,
        ),
    )


def _authenticated(credential: Credential) -> AuthenticatedData:
    end = credential.expires_at
    return AuthenticatedData(
        user=credential.username,
        scope="trade" if credential.may_trade else "read",
        expires_at=end.isoformat().replace("+00:00", "Z") if end else None,
    )


def _too_fast() -> dict[str, Any]:
    limit = settings.MAX_MESSAGES_PER_SECOND
    detail = f"more than {limit} messages per second over ten seconds; slow down"
    return error_frame(ErrorCode.RATE_LIMITED, detail)


def _refusal(error: FrameError) -> dict[str, Any]:
    frame = error_frame(error.code, error.detail, fields=error.fields)
    if error.echo is not None:
        frame["request_id"] = error.echo
    return frame


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")

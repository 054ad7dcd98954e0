"""The WebSocket consumer: a switchboard between frames, services and the fan-out."""

import asyncio
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from redis.exceptions import RedisError

from optimization.engine.problem import Objective
from optimization.engine.registry import available_methods
from optimization.submissions import Owner
from streaming.access import origin_is_allowed
from streaming.connection import Connection
from streaming.decoding import FrameError, Message, decode
from streaming.fanout import hub
from streaming.handlers import HANDLERS, Session
from streaming.history import Place
from streaming.outbox import Outbox
from streaming.presence_task import presence
from streaming.protocol import (
    SUBPROTOCOL,
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
from streaming.rate import TokenBucket

INBOX_MESSAGES = 64
"""Frames of one client that may wait for their turn; then its socket is not read from."""

FLOW_EXTENSION = "quantumedge.flow"


class OptimizationConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    """One client's connection.

    Heartbeats are answered at once; everything else takes its turn in an inbox, so that a slow
    database never makes a client believe that the server is dead.
    """

    # Frames come through the process' hub, so a connection needs no channel of its own.
    channel_layer_alias = None

    session: Session | None = None

    async def connect(self) -> None:
        """Check who connects, then greet."""
        headers = {name: value.decode("latin1") for name, value in self.scope["headers"]}
        if not origin_is_allowed(headers.get(b"origin"), headers.get(b"host")):
            await self.close()
            return
        user = self.scope.get("user")
        if not settings.LOCAL_MODE and (user is None or not user.is_authenticated):
            await self.close()
            return
        offered = self.scope.get("subprotocols", [])
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await self._open(Owner.of(user), user.get_username() if user else "")

    async def _open(self, owner: Owner, username: str) -> None:
        if hub().count(owner.key) >= settings.MAX_CONNECTIONS_PER_USER:
            await self.close(CloseCode.TOO_MANY_CONNECTIONS)
            return
        client_id = f"client{secrets.token_hex(6)}"
        flow = self.scope.get("extensions", {}).get(FLOW_EXTENSION)
        outbox = Outbox(client_id, self.send, flow)
        outbox.on_overflow(self._drop)
        connection = Connection(client_id, owner, outbox)
        self._bucket = TokenBucket.full(settings.MAX_MESSAGES_PER_SECOND, time.monotonic())
        self._inbox: asyncio.Queue[Message] = asyncio.Queue(INBOX_MESSAGES)
        self.flow = flow
        try:
            place = await hub().join(connection)
        except RedisError:
            place = Place("", 0)
        self.session = Session(connection, place)
        outbox.put(server_frame(ServerMessage.CONNECTION_STATUS, _status(self.session, username)))
        self._tasks = [
            asyncio.create_task(outbox.run(), name=f"outbox {client_id}"),
            asyncio.create_task(self._work(), name=f"inbox {client_id}"),
        ]
        await presence().changed(connection)

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - Channels' interface
        """Forget the connection; its requests go on."""
        if self.session is None:
            return
        for task in self._tasks:
            task.cancel()
        with suppress(RedisError):
            await hub().leave(self.session.connection)
        await presence().gone(self.session.connection)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:  # noqa: ARG002
        """Take one frame: answer a heartbeat or an error at once, queue the rest."""
        if self.session is None:
            return
        outbox = self.session.connection.outbox
        if not self._bucket.take(time.monotonic()):
            limit = settings.MAX_MESSAGES_PER_SECOND
            detail = f"more than {limit} messages per second over ten seconds; slow down"
            outbox.put(error_frame(ErrorCode.RATE_LIMITED, detail))
            return
        try:
            message = decode(text_data)
        except FrameError as error:
            outbox.put(_refusal(error))
            return
        if message.type is ClientMessage.HEARTBEAT:
            reply = HeartbeatReplyData(server_time=_now())
            outbox.put(server_frame(ServerMessage.HEARTBEAT, reply, message.echo))
            return
        await self._inbox.put(message)

    async def _work(self) -> None:
        """Handle this client's frames one after the other."""
        assert self.session is not None  # noqa: S101 - started by _open
        while True:
            message = await self._inbox.get()
            try:
                await HANDLERS[message.type](self.session, message)
            except FrameError as error:
                self.session.connection.outbox.put(_refusal(error))
            except (RedisError, OSError) as error:
                detail = f"the server cannot reach one of its backends ({type(error).__name__})"
                refusal = FrameError(
                    ErrorCode.SERVICE_UNAVAILABLE, detail + "; retry later", (), message.echo
                )
                self.session.connection.outbox.put(_refusal(refusal))

    def _drop(self, code: CloseCode) -> None:
        """Disconnect a client that does not read: politely if the socket takes it, then at once."""
        asyncio.get_running_loop().create_task(self.close(code))
        if self.flow is not None:
            asyncio.get_running_loop().call_later(1.0, self.flow.abort)


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


def _refusal(error: FrameError) -> dict[str, Any]:
    frame = error_frame(error.code, error.detail, fields=error.fields)
    if error.echo is not None:
        frame["request_id"] = error.echo
    return frame


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")

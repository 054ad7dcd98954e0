"""The Redis connections of a process, shared by every layer."""

import logging
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Self

from django.conf import settings
from redis import Redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

logger = logging.getLogger(__name__)

Command = tuple[str | bytes | float, ...]

_BACKOFF = ExponentialWithJitterBackoff(base=0.01, cap=0.05)
"""Seconds before a command is sent once more."""

ASYNC_CONNECTIONS = 4
"""Connections of one client on the event loop, each of which serves thousands of callers."""


def redis_client() -> Redis:
    """The pooled synchronous client of this process; replies are bytes.

    The pool drops connections that it inherited over a fork, so a Celery parent may use the client
    before it forks. Never call it on the event loop: it blocks when Redis is away.
    """
    return _client(settings.REDIS_URL)


def async_redis_client() -> redis_asyncio.Redis:
    """A client of its own for the running event loop; its owner closes it.

    It holds a few connections, however many callers there are at once: when hundreds of clients
    connect, each one's question waits its turn instead of opening a socket that stays. A command
    whose connection broke is sent once more, on a new one, as by :func:`redis_client`.
    """
    pool = _AsyncPool.from_url(
        settings.REDIS_URL,
        max_connections=ASYNC_CONNECTIONS,
        timeout=settings.REDIS_TIMEOUT,
        socket_timeout=settings.REDIS_TIMEOUT,
    )
    return redis_asyncio.Redis.from_pool(pool)


def redis_key(*parts: str) -> str:
    """The key of ``parts`` under this server's prefix, joined by colons."""
    return ":".join((settings.REDIS_PREFIX, *parts))


def redis_command(*command: str | bytes | float) -> Any:
    """The reply to one command, on a connection that the calling thread keeps for itself.

    For what clients wait for: the pool's way to a connection and back, with its locks and its
    figures, takes longer than Redis does. The reply is as Redis gave it. Errors, time-outs and the
    second attempt are those of :func:`redis_client`.
    """
    (reply,) = redis_commands([command])
    return reply


def redis_commands(commands: Sequence[Command]) -> list[Any]:
    """The replies to several commands in one round trip, in the same way as :func:`redis_command`.

    Raises:
        RedisError: Redis cannot be reached, or has refused one of them; the others are done.
    """
    try:
        replies = _line.ask(commands)
    except (RedisConnectionError, RedisTimeoutError):
        # What befell this connection befell the idle ones, too.
        _close_idle()
        replies = _line.ask(commands)
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies


def _home() -> tuple[int, str]:
    """Where a connection is at home; one of another process stays the parent's after a fork."""
    return os.getpid(), settings.REDIS_URL


def _close_idle() -> None:
    """Close all connections of the pool that nobody uses at this moment."""
    redis_client().connection_pool.disconnect(inuse_connections=False)


class _Line(threading.local):
    """One thread's own connection, which ends with it."""

    _connection: Any = None
    _home = (0, "")

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and read their replies, refusals among them."""
        home = _home()
        if self._home != home:
            self._home, self._connection = home, None
        if self._connection is None:
            pool = redis_client().connection_pool
            self._connection = pool.connection_class(**pool.connection_kwargs)
        try:
            self._connection.send_packed_command(self._connection.pack_commands(commands))
            return [self._read() for _ in commands]
        except BaseException:
            # Also when a signal's handler raises: nobody may read the reply to another question.
            self._connection.disconnect()
            raise

    def _read(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as refusal:
            return refusal


_line = _Line()


class Unawaited:
    """Sends commands without waiting for their replies, each of which the next command reads.

    For news: its sender goes on at once, and an error shows only at the next command. So it suits
    what is worth nothing a moment later, and what is told again from the database if it was lost.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        self._unread = 0
        self._home = (0, "")

    def send(self, *command: str | bytes) -> None:
        """Send one command.

        Raises:
            RedisError: Redis cannot be reached; whatever is sent next tries again.
        """
        with self._lock:
            home = _home()
            if self._home != home:
                self._home, self._connection, self._unread = home, None, 0
            self._settle()
            if self._is_closed():
                self._drop()
            try:
                self._write(command)
            except RedisConnectionError:
                # Redis may have closed it while it lay idle.
                self._write(command)

    def _write(self, command: tuple[str | bytes, ...]) -> None:
        try:
            if self._connection is None:
                self._connection = redis_client().connection_pool.get_connection()
            self._connection.send_command(*command)
        except RedisError:
            self._drop()
            raise
        self._unread += 1

    def _settle(self) -> None:
        """Read what is left to be read."""
        try:
            while self._unread:
                self._unread -= 1
                self._connection.read_response()
        except RedisError as error:
            logger.warning("what was sent before may be lost: %s", error)
            self._drop()

    def _is_closed(self) -> bool:
        """Whether Redis has ended the connection; over TCP, a write would not notice."""
        try:
            return self._connection is not None and bool(self._connection.can_read())
        except (RedisError, OSError):
            return True

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            redis_client().connection_pool.release(self._connection)
        self._connection, self._unread = None, 0


unawaited = Unawaited()
"""This process' only one."""


class Asked:
    """A question under way, as a context: sent when this is made, answered when it is wanted.

    Redis answers while whoever asked does something else. The question must be one that may be
    asked twice: if its connection breaks, ``reply`` asks it again.
    """

    def __init__(self, *command: str | bytes | float) -> None:
        self._command = command
        self._pool = redis_client().connection_pool
        self._connection: Any = None
        try:
            self._connection = self._pool.get_connection()
            self._connection.send_command(*command)
        except RedisError:
            self._release(is_read=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Let nobody read an answer that was not wanted."""
        self._release(is_read=False)

    def reply(self) -> Any:
        """The answer, as it was when this was made; to be read once.

        Raises:
            RedisError: Redis cannot be reached.
        """
        if self._connection is not None:
            try:
                reply = self._connection.read_response()
            except RedisError:
                self._release(is_read=False)
            else:
                self._release(is_read=True)
                return reply
        client: Any = redis_client()
        return client.execute_command(*self._command)

    def _release(self, *, is_read: bool) -> None:
        if self._connection is None:
            return
        if not is_read:
            self._connection.disconnect()
        self._pool.release(self._connection)
        self._connection = None


class _RetryOnNewConnection(Retry):
    """Retries after the pool's idle connections are closed: what befell one befell them all.

    A server that restarted, or a line that went dead, would else cost a failure for each of them.
    """

    def call_with_retry(
        self, do: Callable[[], Any], fail: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Run ``do``, and again after a failure."""

        def close_all(*failure: Any) -> None:
            fail(*failure)
            _close_idle()

        return super().call_with_retry(do, close_all, *args, **kwargs)


class _AsyncPool(redis_asyncio.BlockingConnectionPool):
    """Connections that share their fate: what befell one of them befell the idle ones, too."""

    def make_connection(self) -> Any:
        """Make one whose failure closes the idle ones before its second attempt."""
        connection = super().make_connection()  # type: ignore[no-untyped-call]
        connection.retry = _AsyncRetryOnNewConnection(self)
        return connection

    async def close_idle(self) -> None:
        """Close all connections that nobody uses at this moment."""
        for connection in self._available_connections:
            # Without waiting for it: a task that takes one of them meanwhile must find it closed.
            await connection.disconnect(nowait=True)


class _AsyncRetryOnNewConnection(AsyncRetry):
    """The same on the event loop, for the connections of one pool."""

    def __init__(self, pool: _AsyncPool) -> None:
        super().__init__(_BACKOFF, retries=1)
        self._pool = pool

    async def call_with_retry(
        self, do: Callable[[], Awaitable[Any]], fail: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Run ``do``, and again after a failure."""

        async def close_all(*failure: Any) -> None:
            await fail(*failure)
            await self._pool.close_idle()

        return await super().call_with_retry(do, close_all, *args, **kwargs)


@lru_cache(maxsize=4)
def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=settings.REDIS_TIMEOUT,
        socket_connect_timeout=settings.REDIS_TIMEOUT,
        retry=_RetryOnNewConnection(_BACKOFF, retries=1),
        retry_on_error=[RedisConnectionError],
    )

"""The one pooled Redis connection of a process, shared by every layer."""

from functools import lru_cache

from django.conf import settings
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

TIMEOUT_SECONDS = 5.0
"""Longest wait for Redis; blocking commands and subscriptions bring their own connection."""


def redis_client() -> Redis:
    """The pooled synchronous client of this process; replies are bytes.

    The pool drops connections that it inherited over a fork, so a Celery parent may use the client
    before it forks. Never call it on the event loop: it blocks when Redis is away.
    """
    return _client(settings.REDIS_URL)


def redis_key(*parts: str) -> str:
    """The key of ``parts`` under this server's prefix, joined by colons."""
    return ":".join((settings.REDIS_PREFIX, *parts))


@lru_cache(maxsize=4)
def _client(url: str) -> Redis:
    # One quick retry covers a connection that Redis closed while it lay idle in the pool.
    return Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(base=0.01, cap=0.05), retries=1),
        retry_on_error=[RedisConnectionError],
    )

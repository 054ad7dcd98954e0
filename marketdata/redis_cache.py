"""Django's cache over the process' own Redis connections."""

from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import Redis
from redis.client import Pipeline

from marketdata.redis_client import redis_client


class _SharedClient(RedisCacheClient):
    """Django makes a client for every call, which costs more than most calls do."""

    def get_client(self, key: Any = None, *, write: bool = False) -> Redis:  # noqa: ARG002
        return redis_client()


class SharedRedisCache(RedisCache):
    """Django's Redis cache, with the timeouts and the pool of every other use of Redis.

    A pool of its own would find out for itself, connection by connection, that a server restarted
    or that a line went dead.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _SharedClient

    def name_of(self, key: str) -> str:
        """Where Redis keeps a value; ``value_of`` decodes it."""
        return str(self.make_and_validate_key(key))

    def value_of(self, reply: bytes | None) -> Any:
        """The value that Redis has kept; None when there is none."""
        client: Any = self._cache
        return None if reply is None else client._serializer.loads(reply)

    def set_in(self, pipe: Pipeline, key: str, value: Any, timeout: int) -> None:
        """Set a value for ``timeout`` seconds as one of a pipeline's commands."""
        client: Any = self._cache
        stored = client._serializer.dumps(value)
        pipe.set(self.make_and_validate_key(key), stored, ex=timeout)

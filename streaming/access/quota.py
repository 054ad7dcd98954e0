"""How many connections one user, or one address without a user, holds over all web processes.

Each holder has a sorted set in Redis: a connection's id with the moment until which its process
vouches for it. What a process that died held is forgotten when that moment has passed.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from marketdata.redis_client import async_redis_client, redis_key

LEASE_SECONDS = 20.0
"""How long a process vouches for a connection; it does so anew every few seconds."""

_ADMIT = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""


def _key(holder: str) -> str:
    return redis_key("connections", holder)


class Quota:
    """Counts connections by holder; belongs to one event loop."""

    def __init__(self) -> None:
        # redis-py types every reply as a union of all that a server could be set to send.
        self._redis: Any = async_redis_client()
        self._admit = self._redis.register_script(_ADMIT)

    async def admit(self, holder: str, connection: str, limit: int) -> bool:
        """Count a connection in, atomically; False when its holder has as many as allowed.

        Raises:
            RedisError: Redis is away.
        """
        now = time.time()
        arguments: list[str | float] = [
            now,
            now + LEASE_SECONDS,
            limit,
            connection,
            int(LEASE_SECONDS * 1000),
        ]
        return bool(await self._admit(keys=[_key(holder)], args=arguments))

    async def release(self, holder: str, connection: str) -> None:
        """Count a connection out.

        Raises:
            RedisError: Redis is away; the connection is forgotten when its lease ends.
        """
        await self._redis.zrem(_key(holder), connection)

    async def renew(self, holders: Mapping[str, str]) -> None:
        """Vouch for connections anew.

        Args:
            holders: The holder of each connection.

        Raises:
            RedisError: Redis is away.
        """
        if not holders:
            return
        until = time.time() + LEASE_SECONDS
        groups: dict[str, dict[str, float]] = defaultdict(dict)
        for connection, holder in holders.items():
            groups[holder][connection] = until
        async with self._redis.pipeline(transaction=False) as pipe:
            for holder, members in groups.items():
                pipe.zadd(_key(holder), members)
                pipe.pexpire(_key(holder), int(LEASE_SECONDS * 1000))
            await pipe.execute()

    async def close(self) -> None:
        """Close the connection to Redis."""
        await self._redis.aclose()

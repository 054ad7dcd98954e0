"""How many connections one user, or one address without a user, holds over all web processes.

Each holder has a sorted set in Redis: a connection's id with the moment until which its process
vouches for it. What a process that died held is forgotten when that moment has passed.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from marketdata.redis_client import async_redis_client, redis_key

LEASE_SECONDS = 20
"""How long a process vouches for a connection; it does so anew every few seconds."""

# By the clock of Redis: those of the hosts may differ.
_ADMIT = """
local now = redis.call('TIME')[1]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""

_RENEW = """
local until_then = redis.call('TIME')[1] + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], until_then, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""

RENEWED_AT_ONCE = 1000
"""Connections of one holder that one step renews; Redis does nothing else meanwhile."""


def _key(holder: str) -> str:
    return redis_key("connections", holder)


class Quota:
    """Counts connections by holder; belongs to one event loop."""

    def __init__(self) -> None:
        # redis-py types every reply as a union of all that a server could be set to send.
        self._redis: Any = async_redis_client()
        self._admit = self._redis.register_script(_ADMIT)
        self._renew = self._redis.register_script(_RENEW)

    async def admit(self, holder: str, connection: str, limit: int) -> bool:
        """Count a connection in, atomically; False when its holder has as many as allowed.

        Raises:
            RedisError: Redis is away.
        """
        arguments: list[int | str] = [LEASE_SECONDS, limit, connection]
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
        groups: dict[str, list[str]] = defaultdict(list)
        for connection, holder in holders.items():
            groups[holder].append(connection)
        if not groups:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for holder, members in groups.items():
                for first in range(0, len(members), RENEWED_AT_ONCE):
                    some = members[first : first + RENEWED_AT_ONCE]
                    await self._renew(keys=[_key(holder)], args=[LEASE_SECONDS, *some], client=pipe)
            await pipe.execute()

    async def close(self) -> None:
        """Close the connection to Redis."""
        await self._redis.aclose()

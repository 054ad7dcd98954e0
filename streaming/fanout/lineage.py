"""Which lost connections a connection stands in for, also those that the lost one stood in for.

A client that loses its connection twice names only the second one when it resumes. What it asked
for on the first one is still its own.
"""

from typing import Any

from marketdata.redis_client import redis_key
from streaming.fanout.connection import Connection

KEPT_SECONDS = 86_400
MAX_IDS = 100
"""Lost connections that one connection may stand in for."""


async def inherit(client: Any, connection: Connection) -> set[str]:
    """The ids that those which a connection stands in for stood in for; kept for its own heir."""
    owner = connection.owner.key
    found = await client.sunion([_key(owner, name) for name in connection.ids])
    inherited = sorted(name.decode() for name in found)
    ids = connection.ids | set(inherited[: MAX_IDS - len(connection.ids)])
    key = _key(owner, connection.client_id)
    async with client.pipeline() as pipe:
        pipe.sadd(key, *ids)
        pipe.expire(key, KEPT_SECONDS)
        await pipe.execute()
    return ids


def _key(owner: str, client_id: str) -> str:
    return redis_key("lineage", owner, client_id)

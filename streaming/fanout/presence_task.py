"""Keeps this web process' entry in the presence table fresh."""

import asyncio
import logging

from redis.exceptions import RedisError

from marketdata.redis_client import async_redis_client
from streaming.cancelling import end_tasks
from streaming.fanout import presence as table
from streaming.fanout.connection import Connection
from streaming.fanout.hub import hub

logger = logging.getLogger(__name__)


class PresenceKeeper:
    """Writes down connections as they come and go, and all of them every few seconds."""

    def __init__(self) -> None:
        self._redis = async_redis_client()
        self._task: asyncio.Task[None] | None = None

    async def changed(self, connection: Connection) -> None:
        """Note a connection that came or changed its subscriptions."""
        if self._task is None:
            self._task = asyncio.create_task(self._refresh(), name="presence")
        try:
            await table.update(self._redis, connection)
        except RedisError as error:
            logger.warning("presence not updated: %s", error)

    async def gone(self, connection: Connection) -> None:
        """Note a connection that is gone."""
        try:
            await table.remove(self._redis, connection)
        except RedisError as error:
            logger.warning("presence not updated: %s", error)

    async def close(self) -> None:
        """Stop refreshing."""
        if self._task is not None:
            await end_tasks([self._task])
        await self._redis.aclose()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(table.REFRESH_SECONDS)
            try:
                await table.announce(self._redis, hub().connections)
            except RedisError as error:
                logger.warning("presence not refreshed: %s", error)


_keepers: dict[asyncio.AbstractEventLoop, PresenceKeeper] = {}


def presence() -> PresenceKeeper:
    """The keeper of the running event loop; a web process has one."""
    loop = asyncio.get_running_loop()
    if loop not in _keepers:
        _keepers[loop] = PresenceKeeper()
    return _keepers[loop]

"""Watches over open connections: how many each holder has, and whether their credentials hold."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from streaming.access.credentials import Credential, ended_credentials
from streaming.access.quota import Quota
from streaming.cancelling import end_tasks
from streaming.executor import run_blocking

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""How soon a revoked token or an ended session closes its connections."""
RENEW_SECONDS = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class _Watched:
    credential: Credential
    end: Callable[[], None]


class Guard:
    """Admits connections and ends those whose credentials hold no longer.

    No frame costs a query: all credentials of a process are checked together, every few seconds.
    """

    def __init__(self) -> None:
        self._quota = Quota()
        self._holders: dict[str, str] = {}
        self._watched: dict[str, _Watched] = {}
        self._task: asyncio.Task[None] | None = None

    async def admit(self, holder: str, connection: str, limit: int) -> bool:
        """Count a connection in; while Redis is away, over this process alone."""
        self._start()
        try:
            admitted = await self._quota.admit(holder, connection, limit)
        except RedisError as error:
            logger.warning("connections are counted in this process alone: %s", error)
            admitted = sum(held == holder for held in self._holders.values()) < limit
        if admitted:
            self._holders[connection] = holder
        return admitted

    async def admit_user(self, connection: str, credential: Credential) -> bool:
        """Count a signed-in client in, or an anonymous one of local mode."""
        return await self.admit(credential.owner.key, connection, settings.MAX_CONNECTIONS_PER_USER)

    async def admit_stranger(self, connection: str, address: str) -> bool:
        """Count a client in that has yet to sign in."""
        return await self.admit(
            f"address:{address}", connection, settings.MAX_STRANGERS_PER_ADDRESS
        )

    async def release(self, connection: str) -> None:
        """Count a connection out and watch it no longer."""
        self._watched.pop(connection, None)
        holder = self._holders.pop(connection, None)
        if holder is None:
            return
        try:
            await self._quota.release(holder, connection)
        except RedisError as error:
            logger.warning("a connection counts until its lease ends: %s", error)

    def watch(self, connection: str, credential: Credential, end: Callable[[], None]) -> None:
        """Call ``end`` once when the credential of a connection holds no longer."""
        if credential.owner.user_id is not None:
            self._watched[connection] = _Watched(credential, end)

    async def look(self) -> None:
        """End the connections whose credentials hold no longer.

        Raises:
            DatabaseError: The database is away; nobody is ended.
        """
        watched = dict(self._watched)
        credentials = {entry.credential for entry in watched.values()}
        ended = await run_blocking(lambda: ended_credentials(credentials)) if watched else set()
        for connection, entry in watched.items():
            if entry.credential in ended and self._watched.pop(connection, None) is not None:
                entry.end()

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            await end_tasks([self._task])
        await self._quota.close()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="guard")

    async def _run(self) -> None:
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.look()
                if time.monotonic() - renewed > RENEW_SECONDS:
                    renewed = time.monotonic()
                    await self._quota.renew(dict(self._holders))
            except (DatabaseError, RedisError) as error:
                logger.warning("connections are looked at again in a moment: %s", error)


_guards: dict[asyncio.AbstractEventLoop, Guard] = {}


def guard() -> Guard:
    """The guard of the running event loop; a web process has one."""
    loop = asyncio.get_running_loop()
    if loop not in _guards:
        _guards[loop] = Guard()
    return _guards[loop]

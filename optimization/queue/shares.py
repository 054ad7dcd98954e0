"""A large request's parts, offered to whichever worker is free, and what these find.

The parts stand in a list in Redis, from which everybody takes; what is found goes to another one,
which its holder reads. Both go with the request's end, or when its holder's time is over. Nobody
vouches for a part that was taken: a holder that finds nothing more to take does what is missing
itself, so a worker that dies costs time and never the result.
"""

from collections.abc import Sequence
from typing import Any

from celery import current_app, group
from celery.canvas import Signature

from marketdata.redis_client import redis_client
from optimization.queue import store
from optimization.queue.lanes import Lane
from optimization.queue.tokens import broker_errors, logger, task_seconds

HELP = "optimization.help"
"""Name of the task, so that a holder need not import it."""

_TAKE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return false end
return redis.call('LPOP', KEYS[2])
"""


class Shares:
    """The parts of one request under one claim.

    Args:
        lane: The request's lane.
        request_id: Which request.
        fence: Of its holder; under a newer one, nobody takes anything more.
    """

    def __init__(self, lane: Lane, request_id: str, fence: int) -> None:
        self._lane = lane
        self._names = (request_id, str(fence))
        self._parts, self._found = (
            store.key(f"{name}:{request_id}:{fence}") for name in ("parts", "found")
        )
        self._read = 1

    def offer(self, parts: Sequence[bytes], helpers: int) -> None:
        """Offer parts and ask so many workers for help."""
        milliseconds = 1000 * task_seconds(self._lane)
        with redis_client().pipeline() as pipe:
            pipe.rpush(self._parts, *parts)
            # An empty list does not exist, and one that does not exist takes nothing.
            pipe.rpush(self._found, b"")
            for key in (self._parts, self._found):
                pipe.pexpire(key, milliseconds)
            pipe.execute()
        try:
            group([self._call()] * helpers).apply_async()
        except broker_errors() as error:
            logger.warning("%s: nobody helps: %s", self._names[0], error)

    def ask_again(self) -> None:
        """Let other work go first, and come back."""
        try:
            self._call().apply_async()
        except broker_errors() as error:
            logger.warning("%s: one helper less: %s", self._names[0], error)

    def take(self) -> bytes | None:
        """The next part; None when none is left or the request has another holder."""
        keys = [store.key(store.FENCES), self._parts]
        part: bytes | None = store.script(_TAKE)(keys=keys, args=self._names)
        return part

    def give(self, found: str) -> bool:
        """Hand in something that was found; False when nobody waits for it any more."""
        return bool(redis_client().rpushx(self._found, found))

    def news(self) -> list[bytes]:
        """What was handed in since the last look."""
        news: Any = redis_client().lrange(self._found, self._read, -1)
        self._read += len(news)
        return list(news)

    def withdraw(self) -> None:
        """Offer nothing any more; whoever helps stops at its next step."""
        redis_client().delete(self._parts, self._found)

    def _call(self) -> Signature:
        request_id, fence = self._names
        return current_app.signature(
            HELP,
            args=(self._lane.value, request_id, int(fence)),
            queue=self._lane.value,
            time_limit=task_seconds(self._lane),
            ignore_result=True,
        )

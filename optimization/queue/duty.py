"""A process's turn at a lane: it runs what waits, and stands by for what comes.

A Celery message costs several milliseconds on its way into a pool process, which is more than a
small problem takes to solve. So one message buys a turn of ``DUTY_SECONDS`` instead of one
request: the process gives up a finished request and takes the next in one step, and while none
waits it stands by, so that an admission hands it the next one without any message. A turn that had
work ends with a token for another one; between turns, the pool does Celery's other tasks.
"""

import logging
import os
import socket
import time
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from redis.client import Pipeline
from redis.exceptions import RedisError

from marketdata.redis_client import redis_client
from optimization.queue import store
from optimization.queue.admission import Claim
from optimization.queue.lanes import Lane
from optimization.queue.store import FINISH, HOLD, NOW, TAKE
from optimization.queue.tokens import DUTY_SECONDS, TOKEN_SECONDS, send_token

logger = logging.getLogger(__name__)

_STANDBY_MARGIN = 1.0
"""A process counts as standing by a little longer than it waits, so that it ends that itself."""

_NEXT = (
    TAKE
    + HOLD
    + FINISH
    + """
local leases, fence, fences, cancelled, standby, held = unpack(KEYS, 2)
if ARGV[1] ~= '' then finish(leases, fences, cancelled, ARGV[1], ARGV[2]) end
local seconds = tonumber(ARGV[5])
if seconds <= 0 then return false end
local taken = take(KEYS[1], leases, fence, fences, tonumber(ARGV[3]))
if taken then
    hold(held, taken)
elseif ARGV[6] == '1' then
    redis.call('ZADD', standby, now() + seconds, ARGV[4])
end
return taken
"""
)

_STAND_DOWN = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then return false end
return redis.call('LPOP', KEYS[2])
"""

_END = (
    NOW
    + """
local waiting, leases, standby, tokens, fences, handed, expected = unpack(KEYS)
local time = now()
redis.call('ZREM', standby, ARGV[1])
-- What was handed over too late goes back to the head of its lane.
local id = string.match(redis.call('LPOP', handed) or '', ' (.+)')
if id then
    local head = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')[2]
    redis.call('ZREM', leases, id)
    redis.call('HDEL', fences, id)
    redis.call('ZADD', waiting, (head or 0) - 1, id)
end
local left = redis.call('ZCARD', waiting) + redis.call('ZCOUNT', leases, '-inf', time)
-- One process stays while requests are expected; a busy one comes back by itself.
local stays = ARGV[4] == '1' and redis.call('EXISTS', expected) == 1
    and redis.call('ZCOUNT', leases, time, '+inf') == 0
    and redis.call('ZCOUNT', standby, time, '+inf') == 0
if left == 0 and ARGV[2] == '0' and not stays then return 0 end
redis.call('ZADD', tokens, time + tonumber(ARGV[3]), ARGV[1])
return 1
"""
)

_BEREAVE = (
    NOW
    + """
local fences, held, handed = unpack(KEYS)
local lanes = (#KEYS - 3) / 2
local fence, id = string.match(redis.call('GET', held) or '', '(%d+) (.+)')
redis.call('DEL', held, handed)
for i = 1, lanes do redis.call('ZREM', KEYS[3 + lanes + i], ARGV[1]) end
if not id or redis.call('HGET', fences, id) ~= fence then return 0 end
for i = 1, lanes do
    if redis.call('ZADD', KEYS[3 + i], 'XX', 'CH', now(), id) == 1 then return i end
end
return 0
"""
)


def process_name(worker_pid: int, pid: int | str) -> str:
    """What a pool process of a worker on this machine stands by as."""
    return f"{socket.gethostname()}:{worker_pid}:{pid}"


def dismiss(lanes: list[Lane]) -> None:
    """Hand nothing more to the pool processes of this worker, which is about to stop."""
    mine = process_name(os.getpid(), "")
    for lane in lanes:
        names: Any = redis_client().zrange(store.standby(lane), 0, -1)
        if leaving := [name for name in names if name.startswith(mine.encode())]:
            redis_client().zrem(store.standby(lane), *leaving)


def bereave(lanes: list[Lane], pid: int) -> Lane | None:
    """End the lease of a pool process of this worker that has died, and call another to take over.

    Returns:
        The lane of what it held; None if it held nothing.
    """
    process = process_name(os.getpid(), pid)
    keys = [
        store.key(store.FENCES),
        store.held(process),
        store.handed(process),
        *map(store.leases, lanes),
        *map(store.standby, lanes),
    ]
    number = int(store.script(_BEREAVE)(keys=keys, args=[process]))
    if not number:
        return None
    lane = lanes[number - 1]
    send_token(lane)
    return lane


class Duty:
    """One turn of this process at a lane, as a context.

    Args:
        lane: Which lane.
        stands_by: Whether to wait for requests when none is left; not in a process that other
            lanes need, too.
    """

    def __init__(self, lane: Lane, *, stands_by: bool) -> None:
        self._lane = lane
        self._stands_by = stands_by
        self._process = process_name(os.getppid(), os.getpid())
        self._worked = False
        self._ends_at = 0.0

    def __enter__(self) -> Self:
        """Begin the turn: the token that brought it is under way no longer."""
        self._ends_at = time.monotonic() + DUTY_SECONDS
        redis_client().zpopmin(store.tokens(self._lane))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the turn; what is left, what may come soon after, and what is expected gets another.

        A process that does not stand by keeps to what is left: its turns are over at once.
        """
        lane = self._lane
        keys = [
            store.waiting(lane),
            store.leases(lane),
            store.standby(lane),
            store.tokens(lane),
            store.key(store.FENCES),
            store.handed(self._process),
            store.expected(lane),
        ]
        stays = self._stands_by and error is None
        args: list[str | float] = [self._process, int(self._worked), TOKEN_SECONDS, int(stays)]
        if store.script(_END)(keys=keys, args=args):
            send_token(lane)

    def next(self, before: Pipeline, done: Claim | None = None) -> Claim | None:
        """Give up what is done for good and take what comes next; None when the turn is over.

        Args:
            before: Commands to send ahead, so that they cost no round trip of their own.
            done: What this process held.
        """
        seconds = self._ends_at - time.monotonic()
        claim = self._exchange(before, done, seconds)
        if claim is None and seconds > 0 and self._stands_by:
            claim = self._wait(seconds)
        self._worked |= claim is not None
        return claim

    def _exchange(self, pipe: Pipeline, done: Claim | None, seconds: float) -> Claim | None:
        """Take the lane's next request, or else sign up to stand by."""
        lane = self._lane
        keys = [
            store.waiting(lane),
            store.leases(lane),
            *map(store.key, (store.FENCE, store.FENCES, store.CANCELLED)),
            store.standby(lane),
            store.held(self._process),
        ]
        args: list[str | int | float] = [
            "" if done is None else done.request_id,
            "" if done is None else done.fence,
            settings.LEASE_SECONDS,
            self._process,
            seconds + _STANDBY_MARGIN if seconds > 0 else 0,
            int(self._stands_by),
        ]
        # By its text: a pipeline would ask first whether the server knows the digest.
        pipe.eval(_NEXT, len(keys), *keys, *args)
        *earlier, taken = pipe.execute(raise_on_error=False)
        for error in (reply for reply in earlier if isinstance(reply, RedisError)):
            logger.warning("sent ahead and refused: %s", error)
        if isinstance(taken, RedisError):
            raise taken
        return Claim(lane, taken[0].decode(), int(taken[1])) if taken else None

    def _wait(self, seconds: float) -> Claim | None:
        """Wait until an admission hands this process a request, or time is over."""
        message = self._hear(seconds) or self._stand_down()
        if not message:
            return None
        fence, _, request_id = message.decode().partition(" ")
        return Claim(self._lane, request_id, int(fence))

    def _hear(self, seconds: float) -> bytes | None:
        """Wait in pieces that are over well before the client would believe that Redis is gone."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            piece = min(left, settings.REDIS_TIMEOUT / 2)
            # Zero would wait for ever.
            reply: Any = redis_client().blpop([store.handed(self._process)], max(piece, 0.001))
            if reply:
                message: bytes = reply[1]
                return message
        return None

    def _stand_down(self) -> bytes | None:
        """Sign off; returns what was handed over in the moment in which the wait ended."""
        keys = [store.standby(self._lane), store.handed(self._process)]
        message: bytes | None = store.script(_STAND_DOWN)(keys=keys, args=[self._process])
        return message

"""The bounded first-in-first-out queue: one atomic step in Redis for each move.

Each lane has a sorted set of waiting requests, scored by a global sequence number, so that the
order of admission is the order of service whatever the broker does. A claim moves the head to the
sorted set of leases, scored by the second at which the lease ends, and hands out a fencing token;
a lease that ended is claimed before anything that waits. A Celery message is only a token that
puts a process on duty (see ``duty``); a process that stands by is handed a request without one.
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings

from marketdata.redis_client import redis_client
from optimization.errors import QueueFullError
from optimization.queue import store
from optimization.queue.durations import pace
from optimization.queue.lanes import Lane
from optimization.queue.store import FINISH, HOLD, NOW, TAKE
from optimization.queue.tokens import TOKEN_SECONDS, send_token

_ADMIT = (
    TAKE
    + HOLD
    + """
local waiting, standby, tokens = KEYS[1], KEYS[2], KEYS[3]
local already = redis.call('ZRANK', waiting, ARGV[1])
if already then return {already + 1, 0} end
local total = 0
for i = 8, #KEYS do total = total + redis.call('ZCARD', KEYS[i]) end
if total >= tonumber(ARGV[2]) then return {-total, 0} end
redis.call('ZADD', waiting, redis.call('INCR', KEYS[4]), ARGV[1])
local position = redis.call('ZCARD', waiting)
local time = now()
local process, until_time = unpack(redis.call('ZPOPMAX', standby))
if process and tonumber(until_time) > time then
    local taken = take(waiting, KEYS[5], KEYS[6], KEYS[7], tonumber(ARGV[3]))
    redis.call('RPUSH', ARGV[6] .. process, hold(ARGV[7] .. process, taken))
    redis.call('PEXPIRE', ARGV[6] .. process, math.ceil(tonumber(ARGV[3]) * 1000))
    return {position, 0}
end
local held = redis.call('ZCOUNT', KEYS[5], time, '+inf')
local coming = redis.call('ZCOUNT', tokens, time, '+inf')
if held + coming >= tonumber(ARGV[4]) then return {position, 0} end
redis.call('ZADD', tokens, time + tonumber(ARGV[5]), ARGV[1])
return {position, 1}
"""
)

_RENEW = (
    NOW
    + """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return -1 end
redis.call('ZADD', KEYS[1], now() + tonumber(ARGV[3]), ARGV[1])
return redis.call('SISMEMBER', KEYS[3], ARGV[1])
"""
)

_FINISH = (
    FINISH
    + """
return finish(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
"""
)

_CANCEL = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then return 'waiting' end
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    redis.call('SADD', KEYS[3], ARGV[1])
    return 'running'
end
return 'absent'
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a request, until its lease ends.

    Attributes:
        lane: Where it waited.
        request_id: Which request.
        fence: Grows with every claim; an older holder can neither renew nor finish.
    """

    lane: Lane
    request_id: str
    fence: int


class Whereabouts(StrEnum):
    """Where a cancelled request was found."""

    WAITING = "waiting"
    RUNNING = "running"
    ABSENT = "absent"


class LeaseState(StrEnum):
    """What a holder knows of its lease."""

    HELD = "held"
    CANCELLED = "cancelled"
    LOST = "lost"
    OVERDUE = "overdue"
    """Not Redis' word: the lane's time limit is over."""


def admit(lane: Lane, request_id: str) -> int:
    """Put a request at the end of its lane and return its position, 1 for the next to run.

    A process that stands by is handed the lane's head at once; without one, a token is sent
    unless enough of them are under way or every process of the lane is busy and comes back.
    Admitting a request that already waits returns its position and changes nothing.

    Raises:
        QueueFullError: ``MAX_QUEUE_SIZE`` requests wait already, over all lanes.
    """
    keys = [
        store.waiting(lane),
        store.standby(lane),
        store.tokens(lane),
        store.key(store.SEQUENCE),
        store.leases(lane),
        *map(store.key, (store.FENCE, store.FENCES)),
        *map(store.waiting, Lane),
    ]
    args = [
        request_id,
        settings.MAX_QUEUE_SIZE,
        settings.LEASE_SECONDS,
        max(1, pace.get().processes[lane]),
        TOKEN_SECONDS,
        store.handed(""),
        store.held(""),
    ]
    position, needs_token = map(int, store.script(_ADMIT)(keys=keys, args=args))
    if position <= 0:
        raise _full(-position)
    if needs_token:
        send_token(lane)
    return position


def check_room() -> None:
    """Refuse at once what would be refused anyhow, before any work is done for it.

    Redis is only asked by a process that was refused within the last second.

    Raises:
        QueueFullError: The queue is full.
    """
    if time.monotonic() - _refused.at > 1.0:
        return
    waiting = sum(waiting_counts().values())
    if waiting >= settings.MAX_QUEUE_SIZE:
        raise _full(waiting)


class _Refused:
    """When this process was last refused an admission."""

    at = -math.inf


_refused = _Refused()


def _full(waiting: int) -> QueueFullError:
    _refused.at = time.monotonic()
    return QueueFullError(
        f"{waiting} requests wait already, the most this server admits; retry later"
    )


def renew(held: Claim) -> LeaseState:
    """Prolong a lease and learn whether the request was cancelled or taken over."""
    keys = [store.leases(held.lane), store.key(store.FENCES), store.key(store.CANCELLED)]
    state = int(
        store.script(_RENEW)(keys=keys, args=[held.request_id, held.fence, settings.LEASE_SECONDS])
    )
    return {-1: LeaseState.LOST, 0: LeaseState.HELD, 1: LeaseState.CANCELLED}[state]


def finish(held: Claim) -> bool:
    """Give a request up for good; False when another worker has taken it over."""
    keys = [store.leases(held.lane), store.key(store.FENCES), store.key(store.CANCELLED)]
    return bool(store.script(_FINISH)(keys=keys, args=[held.request_id, held.fence]))


def cancel(lane: Lane, request_id: str) -> Whereabouts:
    """Remove a waiting request, or mark a running one so that its holder stops."""
    keys = [store.waiting(lane), store.leases(lane), store.key(store.CANCELLED)]
    return Whereabouts(store.script(_CANCEL)(keys=keys, args=[request_id]).decode())


def position(lane: Lane, request_id: str) -> int | None:
    """Place in its lane, 1 for the next to run, or None when it does not wait."""
    rank: Any = redis_client().zrank(store.waiting(lane), request_id)
    return None if rank is None else int(rank) + 1


def waiting_counts() -> dict[Lane, int]:
    """Requests that wait, per lane."""
    with redis_client().pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.zcard(store.waiting(lane))
        return dict(zip(Lane, map(int, pipe.execute()), strict=True))


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """What a lane holds at one moment.

    Attributes:
        waiting: Requests in the queue.
        held: Requests that a worker holds.
        lost: Requests whose worker let its lease end.
    """

    waiting: int
    held: int
    lost: int

    @property
    def is_unserved(self) -> bool:
        """Whether something could run and nobody runs anything."""
        return self.waiting + self.lost > 0 and self.held == 0


def lane_load(lane: Lane) -> LaneLoad:
    """Count what a lane holds."""
    seconds, microseconds = redis_client().time()
    now = seconds + microseconds / 1e6
    with redis_client().pipeline() as pipe:
        pipe.zcard(store.waiting(lane))
        pipe.zcount(store.leases(lane), f"({now}", "+inf")
        pipe.zcount(store.leases(lane), "-inf", now)
        waiting, held, lost = map(int, pipe.execute())
    return LaneLoad(waiting, held, lost)


def known(request_ids: Iterable[str]) -> set[str]:
    """Those of the requests that wait or run."""
    wanted = list(request_ids)
    if not wanted:
        return set()
    found: set[str] = set()
    for lane in Lane:
        for key in (store.waiting(lane), store.leases(lane)):
            scores = redis_client().zmscore(key, wanted)
            found.update(r for r, score in zip(wanted, scores, strict=True) if score is not None)
    return found

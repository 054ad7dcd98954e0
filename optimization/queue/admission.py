"""The bounded first-in-first-out queue: one atomic step in Redis for each move.

Each lane has a sorted set of waiting requests, scored by a global sequence number, so that the
order of admission is the order of service whatever the broker does. A claim moves the head to the
sorted set of leases, scored by the second at which the lease ends, and hands out a fencing token;
a lease that ended is claimed before anything that waits. A Celery message is only a token that
says "run the next of this lane".
"""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from django.conf import settings
from redis.commands.core import Script

from marketdata.redis_client import redis_client, redis_key
from optimization.errors import QueueFullError
from optimization.queue.lanes import Lane

_ADMIT = """
local waiting = KEYS[1]
local already = redis.call('ZRANK', waiting, ARGV[1])
if already then return already + 1 end
local total = 0
for i = 3, #KEYS do total = total + redis.call('ZCARD', KEYS[i]) end
if total >= tonumber(ARGV[2]) then return -total end
redis.call('ZADD', waiting, redis.call('INCR', KEYS[2]), ARGV[1])
return redis.call('ZCARD', waiting)
"""

_CLAIM = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1)
local id = expired[1]
if not id then
    local head = redis.call('ZPOPMIN', KEYS[1])
    id = head[1]
    if not id then return false end
end
-- From the clock and not from 1, so that fences in the rows stay older if Redis loses its data.
redis.call('SET', KEYS[3], string.format('%d', now * 1e6), 'NX')
local fence = redis.call('INCR', KEYS[3])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[1]), id)
redis.call('HSET', KEYS[4], id, fence)
return {id, fence}
"""

_RENEW = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return -1 end
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[1], clock[1] + clock[2] / 1e6 + tonumber(ARGV[3]), ARGV[1])
return redis.call('SISMEMBER', KEYS[3], ARGV[1])
"""

_FINISH = """
local fence = redis.call('HGET', KEYS[2], ARGV[1])
if fence and fence ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
"""

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
    """What a renewal tells the holder."""

    HELD = "held"
    CANCELLED = "cancelled"
    LOST = "lost"


def _key(name: str) -> str:
    return redis_key("queue", name)


def _waiting(lane: Lane) -> str:
    return _key(f"waiting:{lane}")


def _leases(lane: Lane) -> str:
    return _key(f"leases:{lane}")


_FENCES, _CANCELLED = "fences", "cancelled"


@cache
def _script(source: str) -> Script:
    return redis_client().register_script(source)


def admit(lane: Lane, request_id: str) -> int:
    """Put a request at the end of its lane and return its position, 1 for the next to run.

    Admitting a request that already waits returns its position and changes nothing.

    Raises:
        QueueFullError: ``MAX_QUEUE_SIZE`` requests wait already, over all lanes.
    """
    keys = [_waiting(lane), _key("sequence"), *map(_waiting, Lane)]
    position = int(_script(_ADMIT)(keys=keys, args=[request_id, settings.MAX_QUEUE_SIZE]))
    if position <= 0:
        raise _full(-position)
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


def claim(lane: Lane) -> Claim | None:
    """Take over the oldest lost request of a lane, or else its head; None when neither exists."""
    keys = [_waiting(lane), _leases(lane), _key("fence"), _key(_FENCES)]
    taken = _script(_CLAIM)(keys=keys, args=[settings.LEASE_SECONDS])
    if not taken:
        return None
    return Claim(lane, taken[0].decode(), int(taken[1]))


def renew(held: Claim) -> LeaseState:
    """Prolong a lease and learn whether the request was cancelled or taken over."""
    keys = [_leases(held.lane), _key(_FENCES), _key(_CANCELLED)]
    state = int(
        _script(_RENEW)(keys=keys, args=[held.request_id, held.fence, settings.LEASE_SECONDS])
    )
    return {-1: LeaseState.LOST, 0: LeaseState.HELD, 1: LeaseState.CANCELLED}[state]


def finish(held: Claim) -> bool:
    """Give a request up for good; False when another worker has taken it over."""
    keys = [_leases(held.lane), _key(_FENCES), _key(_CANCELLED)]
    return bool(_script(_FINISH)(keys=keys, args=[held.request_id, held.fence]))


def cancel(lane: Lane, request_id: str) -> Whereabouts:
    """Remove a waiting request, or mark a running one so that its holder stops."""
    keys = [_waiting(lane), _leases(lane), _key(_CANCELLED)]
    return Whereabouts(_script(_CANCEL)(keys=keys, args=[request_id]).decode())


def position(lane: Lane, request_id: str) -> int | None:
    """Place in its lane, 1 for the next to run, or None when it does not wait."""
    rank: Any = redis_client().zrank(_waiting(lane), request_id)
    return None if rank is None else int(rank) + 1


def waiting_counts() -> dict[Lane, int]:
    """Requests that wait, per lane."""
    with redis_client().pipeline(transaction=False) as pipe:
        for lane in Lane:
            pipe.zcard(_waiting(lane))
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
        pipe.zcard(_waiting(lane))
        pipe.zcount(_leases(lane), f"({now}", "+inf")
        pipe.zcount(_leases(lane), "-inf", now)
        waiting, held, lost = map(int, pipe.execute())
    return LaneLoad(waiting, held, lost)


def known(request_ids: Iterable[str]) -> set[str]:
    """Those of the requests that wait or run."""
    wanted = list(request_ids)
    if not wanted:
        return set()
    found: set[str] = set()
    for lane in Lane:
        for key in (_waiting(lane), _leases(lane)):
            scores = redis_client().zmscore(key, wanted)
            found.update(r for r, score in zip(wanted, scores, strict=True) if score is not None)
    return found

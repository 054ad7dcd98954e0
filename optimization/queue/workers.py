"""Which workers are alive, by the lanes they serve."""

from collections.abc import Iterable

from marketdata.redis_client import redis_client, redis_key
from optimization.queue.lanes import Lane
from optimization.queue.store import script

BEAT_SECONDS = 1.0
"""How often a worker says that it lives."""

ALIVE_SECONDS = 5.0
"""A worker that was silent for so long counts as dead."""

# By the clock of Redis: that of a host may be wrong or set anew.
_ANNOUNCE = """
for i = 1, #KEYS do redis.call('ZADD', KEYS[i], redis.call('TIME')[1], ARGV[1]) end
"""

LIVE = """
-- Those of a lane's workers that were heard within the last seconds.
local function live(workers, seconds)
    redis.call('ZREMRANGEBYSCORE', workers, '-inf', redis.call('TIME')[1] - seconds)
    return redis.call('ZRANGE', workers, 0, -1)
end
"""
"""A Lua function that a script may begin with."""

_LIVE = (
    LIVE
    + """
return live(KEYS[1], ARGV[1])
"""
)


def announce(worker: str, lanes: list[Lane], processes: int) -> None:
    """Say that a worker lives and how many processes it gives to each of its lanes."""
    script(_ANNOUNCE)(keys=[workers_key(lane) for lane in lanes], args=[f"{worker}/{processes}"])


def retire(worker: str, lanes: list[Lane], processes: int) -> None:
    """Take a worker that stops in order off the lists."""
    with redis_client().pipeline(transaction=False) as pipe:
        for lane in lanes:
            pipe.zrem(workers_key(lane), f"{worker}/{processes}")
        pipe.execute()


def live_workers(lane: Lane) -> dict[str, int]:
    """Processes of each live worker of a lane, by the worker's name."""
    return processes_of(script(_LIVE)(keys=[workers_key(lane)], args=[ALIVE_SECONDS]))


def processes_of(members: Iterable[bytes]) -> dict[str, int]:
    """Processes by worker, of what ``live`` returns."""
    pairs = (member.decode().rsplit("/", 1) for member in members)
    return {name: int(processes) for name, processes in pairs}


def live_processes(lane: Lane) -> int:
    """Processes that serve a lane now, over all live workers."""
    return sum(live_workers(lane).values())


def workers_key(lane: Lane) -> str:
    """Key of a lane's workers, scored by the second at which they were heard last."""
    return redis_key("workers", lane)

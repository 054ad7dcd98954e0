"""Which workers are alive, by the lanes they serve."""

import time

from marketdata.redis_client import redis_client, redis_key
from optimization.queue.lanes import Lane

BEAT_SECONDS = 1.0
"""How often a worker says that it lives."""

_ALIVE_SECONDS = 5.0
"""A worker that was silent for so long counts as dead."""


def announce(worker: str, lanes: list[Lane], processes: int) -> None:
    """Say that a worker lives and how many processes it gives to each of its lanes."""
    with redis_client().pipeline(transaction=False) as pipe:
        for lane in lanes:
            pipe.zadd(redis_key("workers", lane), {f"{worker}/{processes}": time.time()})
        pipe.execute()


def retire(worker: str, lanes: list[Lane], processes: int) -> None:
    """Take a worker that stops in order off the lists."""
    with redis_client().pipeline(transaction=False) as pipe:
        for lane in lanes:
            pipe.zrem(redis_key("workers", lane), f"{worker}/{processes}")
        pipe.execute()


def live_workers(lane: Lane) -> dict[str, int]:
    """Processes of each live worker of a lane, by the worker's name."""
    since = time.time() - _ALIVE_SECONDS
    key = redis_key("workers", lane)
    with redis_client().pipeline(transaction=False) as pipe:
        pipe.zremrangebyscore(key, "-inf", since)
        pipe.zrange(key, 0, -1)
        _, members = pipe.execute()
    pairs = (member.decode().rsplit("/", 1) for member in members)
    return {name: int(processes) for name, processes in pairs}


def live_processes(lane: Lane) -> int:
    """Processes that serve a lane now, over all live workers."""
    return sum(live_workers(lane).values())

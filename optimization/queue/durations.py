"""How long requests take, measured, so that ``estimated_wait`` is an estimate and not a guess."""

from dataclasses import dataclass
from math import log2

from redis.client import Pipeline

from marketdata.redis_client import redis_key
from optimization.engine.problem import Method
from optimization.freshness import Briefly
from optimization.queue import store, workers
from optimization.queue.lanes import LANES, Lane

_SMOOTHING = 0.2
"""Weight of the newest duration in the moving average."""

_FIRST_GUESS = {Lane.CONVEX: 0.05, Lane.HEURISTIC: 0.5, Lane.QUANTUM: 1.0}
"""Seconds assumed for a lane until its first request is measured."""

_RECORD = """
for i = 3, #ARGV do
    local old = redis.call('HGET', KEYS[1], ARGV[i])
    local new = tonumber(ARGV[1])
    if old then new = tonumber(old) + tonumber(ARGV[2]) * (new - tonumber(old)) end
    redis.call('HSET', KEYS[1], ARGV[i], tostring(new))
end
"""

_MEASURE = (
    workers.LIVE
    + """
local lanes = {}
for i = 2, #KEYS do lanes[i - 1] = live(KEYS[i], ARGV[1]) end
return {redis.call('HGETALL', KEYS[1]), lanes}
"""
)


@dataclass(frozen=True, slots=True)
class Workload:
    """What decides how long a request takes.

    Attributes:
        method: Its method.
        assets: Its number of symbols.
    """

    method: Method
    assets: int

    @property
    def field(self) -> str:
        """Hash field of the average: methods by sizes that double."""
        return f"{self.method}:{int(log2(self.assets))}"


def record_duration(workload: Workload, seconds: float, pipe: Pipeline) -> None:
    """Fold a duration into the averages of its size and lane, once ``pipe`` is executed."""
    fields = (workload.field, LANES[workload.method].value)
    args: list[float | str] = [seconds, _SMOOTHING, *fields]
    pipe.eval(_RECORD, 1, redis_key("durations"), *args)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast each lane works: mean durations by field, and processes that serve it."""

    durations: dict[str, float]
    processes: dict[Lane, int]


def _measure() -> _Pace:
    # In one round trip, which now and then a request waits for.
    keys = [redis_key("durations"), *map(workers.workers_key, Lane)]
    table, live = store.script(_MEASURE)(keys=keys, args=[workers.ALIVE_SECONDS])
    return _Pace(
        durations={
            field.decode(): float(seconds)
            for field, seconds in zip(table[::2], table[1::2], strict=True)
        },
        processes={
            lane: sum(workers.processes_of(members).values())
            for lane, members in zip(Lane, live, strict=True)
        },
    )


pace = Briefly(_measure, seconds=1.0)
"""A wait is an estimate: one that is a second old is as good."""


def estimated_wait(workload: Workload, position: int) -> float:
    """Seconds until a request at ``position`` ends: those before it and itself."""
    lane, now = LANES[workload.method], pace.get()
    before = now.durations.get(lane.value, _FIRST_GUESS[lane])
    itself = now.durations.get(workload.field, before)
    processes = max(1, now.processes[lane])
    return round((position - 1) * before / processes + itself, 3)

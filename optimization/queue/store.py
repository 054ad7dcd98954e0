"""Where the queue lives in Redis: its keys, and the steps that several of its scripts share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from marketdata.redis_client import redis_command, redis_key
from optimization.queue.lanes import Lane

NOW = """
local function now()
    local clock = redis.call('TIME')
    return clock[1] + clock[2] / 1e6
end
"""
"""A Lua function that a script may begin with: seconds by the clock of Redis."""

TAKE = (
    NOW
    + """
-- Lease the oldest lost request of a lane, or else its head; nil when there is neither.
local function take(waiting, leases, fence_key, fences, seconds)
    local time = now()
    local id = redis.call('ZRANGEBYSCORE', leases, '-inf', time, 'LIMIT', 0, 1)[1]
        or redis.call('ZPOPMIN', waiting)[1]
    if not id then return nil end
    -- From the clock and not from 1, so that fences in the rows stay older if Redis loses its data.
    redis.call('SET', fence_key, string.format('%d', time * 1e6), 'NX')
    local fence = redis.call('INCR', fence_key)
    redis.call('ZADD', leases, time + seconds, id)
    redis.call('HSET', fences, id, fence)
    return {id, fence}
end
"""
)
"""The same for what begins a claim."""

FINISH = """
-- Forget a request for good, unless somebody with a newer fence holds it.
local function finish(leases, fences, cancelled, id, fence)
    local held = redis.call('HGET', fences, id)
    if held and held ~= fence then return 0 end
    redis.call('ZREM', leases, id)
    redis.call('HDEL', fences, id)
    redis.call('SREM', cancelled, id)
    return 1
end
"""
"""The same for what ends a claim."""

HOLD = """
-- Note what a process has taken, so that its parent can give it back if the process dies.
local function hold(key, taken)
    local message = string.format('%d', taken[2]) .. ' ' .. taken[1]
    redis.call('SET', key, message, 'EX', 86400)
    return message
end
"""
"""The same for what hands a request to a process."""


def key(name: str) -> str:
    """A key of the queue that all lanes share."""
    return redis_key("queue", name)


def waiting(lane: Lane) -> str:
    """Key of a lane's waiting requests, scored by the order of their admission."""
    return key(f"waiting:{lane}")


def leases(lane: Lane) -> str:
    """Key of a lane's claimed requests, scored by the second at which their lease ends."""
    return key(f"leases:{lane}")


def standby(lane: Lane) -> str:
    """Key of the processes that stand by for a lane, scored by the second until which they do."""
    return key(f"standby:{lane}")


def tokens(lane: Lane) -> str:
    """Key of a lane's tokens under way, scored by the second after which they count as lost."""
    return key(f"tokens:{lane}")


def expected(lane: Lane) -> str:
    """Key that exists while requests of a lane are expected."""
    return key(f"expected:{lane}")


def handed(process: str) -> str:
    """Key of the list that a process on standby waits at; a full one ends in a colon."""
    return key(f"handed:{process}")


def held(process: str) -> str:
    """Key of the fence and the name of what a process took last; a full one ends in a colon."""
    return key(f"held:{process}")


FENCE, FENCES, CANCELLED, SEQUENCE = "fence", "fences", "cancelled", "sequence"


@dataclass(frozen=True, slots=True)
class Script:
    """A script that the server knows by its digest.

    Attributes:
        source: In Lua.
        digest: Its SHA-1, in hexadecimal.
    """

    source: str
    digest: str

    def __call__(self, keys: Sequence[str], args: Sequence[str | float]) -> Any:
        """Run it, and load it first where the server does not know it yet."""
        try:
            return redis_command("EVALSHA", self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return redis_command("EVAL", self.source, len(keys), *keys, *args)


@cache
def script(source: str) -> Script:
    """The script of a source."""
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())

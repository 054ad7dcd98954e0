"""Whether somebody may ask soon: then one process of a prompt lane stays on duty.

Putting a process on duty takes a Celery message, which costs several milliseconds, and a lane that
has been idle for a turn has nobody on duty. While clients are connected or portfolios are watched,
one process stands by all the same, so that neither the first request after a pause nor an
automatic one pays for that. It waits in Redis and takes one message every turn.
"""

from collections.abc import Sequence

from marketdata.redis_client import Command
from optimization.queue import store
from optimization.queue.lanes import Lane
from optimization.queue.tokens import TOKEN_SECONDS, send_token

PROMPT_LANES = frozenset({Lane.CONVEX})
"""Lanes whose requests take less time than a message does."""

EXPECTED_SECONDS = 15
"""How long requests are expected after somebody has said so."""

_CALL = (
    store.NOW
    + """
local expected, standby, leases, tokens = unpack(KEYS)
if redis.call('EXISTS', expected) == 0 then return 0 end
local time = now()
for _, key in ipairs({standby, leases, tokens}) do
    if redis.call('ZCOUNT', key, time, '+inf') > 0 then return 0 end
end
redis.call('ZADD', tokens, time + tonumber(ARGV[1]), 'expected')
return 1
"""
)


def expectations() -> Sequence[Command]:
    """Commands that say, for ``EXPECTED_SECONDS``, that requests may come."""
    return [("SET", store.expected(lane), 1, "EX", EXPECTED_SECONDS) for lane in PROMPT_LANES]


def call_expected(lane: Lane) -> None:
    """Put a process of a lane on duty if requests are expected and nobody is there or coming."""
    keys = [store.expected(lane), store.standby(lane), store.leases(lane), store.tokens(lane)]
    if store.script(_CALL)(keys=keys, args=[TOKEN_SECONDS]):
        send_token(lane)

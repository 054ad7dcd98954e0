"""A worker's process that takes one request at a time, without a turn of its lane."""

from django.conf import settings

from marketdata.redis_client import redis_client
from optimization.models import OptimizationRequest
from optimization.queue import admission, store
from optimization.queue.admission import Claim
from optimization.queue.lanes import Lane
from optimization.solving.running import run_claimed

_CLAIM = (
    store.TAKE
    + """
return take(KEYS[1], KEYS[2], KEYS[3], KEYS[4], tonumber(ARGV[1]))
"""
)


def claim(lane: Lane) -> Claim | None:
    """Take over the oldest lost request of a lane, or else its head; None when neither exists."""
    keys = [
        store.waiting(lane),
        store.leases(lane),
        store.key(store.FENCE),
        store.key(store.FENCES),
    ]
    taken = store.script(_CLAIM)(keys=keys, args=[settings.LEASE_SECONDS])
    return Claim(lane, taken[0].decode(), int(taken[1])) if taken else None


def claimed(lane: Lane = Lane.CONVEX) -> Claim:
    """The claim of what a lane is known to hold."""
    found = claim(lane)
    assert found is not None
    return found


def run_next(lane: Lane) -> OptimizationRequest | None:
    """Run the next request of a lane to its end; None when none waits."""
    held = claim(lane)
    if held is None:
        return None
    with redis_client().pipeline(transaction=False) as afterwards:
        request = run_claimed(held, afterwards)
        afterwards.execute(raise_on_error=False)
    admission.finish(held)
    return request

"""Brings queue and rows together again after whatever crashed between them."""

from datetime import timedelta

from django.utils import timezone

from optimization.models import ACTIVE, OptimizationRequest
from optimization.queue import admission
from optimization.queue.expectation import PROMPT_LANES, call_expected
from optimization.queue.lanes import Lane, may_stand_by
from optimization.queue.tokens import send_token
from optimization.services import request_readmit

GRACE = timedelta(seconds=2)
"""A request so near to now may still be on its way into the queue."""


def reconcile() -> int:
    """Queue again what only the rows still know, and return how many that were."""
    now = timezone.now()
    # Not simply the older ones: another host's clock may be ahead.
    young = (now - GRACE, now + GRACE)
    active = OptimizationRequest.objects.filter(status__in=ACTIVE).exclude(created_at__range=young)
    rows = {request.request_id: request for request in active.order_by("id")}
    lost = rows.keys() - admission.known(rows)
    return sum(request_readmit(rows[request_id]) for request_id in rows if request_id in lost)


class Sweeper:
    """Sends tokens for requests that nobody serves, once they were seen so twice in a row.

    And for requests that are expected, where the worker's processes can stand by for them.

    Args:
        lanes: Where to look.
        processes: How many of this worker may run requests at once.
    """

    def __init__(self, lanes: list[Lane], processes: int) -> None:
        self._processes = processes
        self._unserved = dict.fromkeys(lanes, False)
        self._prompt = PROMPT_LANES.intersection(lanes) if may_stand_by(lanes) else ()

    def sweep(self) -> None:
        """Look at each lane once."""
        for lane, was_unserved in self._unserved.items():
            load = admission.lane_load(lane)
            if load.is_unserved and was_unserved:
                for _ in range(min(load.waiting + load.lost, self._processes)):
                    send_token(lane)
            self._unserved[lane] = load.is_unserved and not was_unserved
        for lane in self._prompt:
            call_expected(lane)

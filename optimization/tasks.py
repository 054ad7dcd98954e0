"""Celery's entrances; the work is in ``running``, ``frontiers`` and ``reconciliation``."""

import logging
from typing import Any

from celery import shared_task
from redis.exceptions import RedisError

from optimization.periodic import is_due
from optimization.queue import reconciliation
from optimization.queue.lanes import Lane, may_stand_by, served_lanes
from optimization.queue.shares import HELP
from optimization.queue.tokens import RUN_LANE
from optimization.solving import frontiers, running

logger = logging.getLogger(__name__)


@shared_task(name=RUN_LANE, bind=True)
def run_lane(self: Any, lane: str) -> None:
    """Run what waits in a lane, and stand by for more where this worker may."""
    lanes = served_lanes(self.app.amqp.queues.consume_from)
    try:
        running.run_lane(Lane(lane), stands_by=may_stand_by(lanes))
    except RedisError as error:
        logger.warning("the %s lane waits for Redis: %s", lane, error)


@shared_task(name=HELP)
def help_trace(lane: str, request_id: str, fence: int) -> None:
    """Trace a part of somebody else's frontier."""
    try:
        frontiers.help_trace(Lane(lane), request_id, fence)
    except RedisError as error:
        logger.warning("%s: no more help: %s", request_id, error)


@shared_task(name="optimization.reconcile")
def reconcile() -> None:
    """Bring the queue in line with the rows."""
    if is_due("reconcile"):
        reconciliation.reconcile()

"""Celery's entrances; the work is in ``running`` and ``reconciliation``."""

import logging
from typing import Any

from celery import shared_task
from redis.exceptions import RedisError

from optimization.queue import reconciliation
from optimization.queue.lanes import Lane, served_lanes
from optimization.queue.tokens import RUN_LANE
from optimization.solving import running

logger = logging.getLogger(__name__)


@shared_task(name=RUN_LANE, bind=True)
def run_lane(self: Any, lane: str) -> None:
    """Run what waits in a lane; stand by for more unless this worker has other lanes, too."""
    lanes = served_lanes(self.app.amqp.queues.consume_from)
    try:
        running.run_lane(Lane(lane), stands_by=len(lanes) == 1)
    except RedisError as error:
        logger.warning("the %s lane waits for Redis: %s", lane, error)


@shared_task(name="optimization.reconcile")
def reconcile() -> None:
    """Bring the queue in line with the rows."""
    reconciliation.reconcile()

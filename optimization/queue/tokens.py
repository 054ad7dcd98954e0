"""Celery messages that say "run the next of this lane"; the queue itself knows which that is."""

import logging
from functools import cache
from typing import Any

from celery import current_app
from celery.utils import uuid
from django.conf import settings
from kombu.exceptions import OperationalError

from optimization.queue.lanes import Lane

logger = logging.getLogger(__name__)

RUN_NEXT = "optimization.run_next"
"""Name of the task, so that the web process need not import it."""


@cache
def _template(lane: Lane) -> Any:
    """Celery's own message for the task; only its id changes from one token to the next."""
    return current_app.amqp.as_task_v2(
        "",
        RUN_NEXT,
        (lane.value,),
        {},
        time_limit=settings.HARD_TIME_LIMITS[lane.value] + 5,
        ignore_result=True,
    )


def send_token(lane: Lane) -> None:
    """Wake a worker of a lane.

    The message goes straight to the lane's queue: finding the way there is most of what Celery's
    ``send_task`` costs. A token that is lost delays nothing for good: the workers look for
    unserved requests every second, so a broker that is away is logged and not raised.
    """
    message, token = _template(lane), uuid()
    try:
        with current_app.producer_or_acquire() as producer:
            producer.publish(
                message.body,
                exchange="",
                routing_key=lane.value,
                serializer="json",
                headers={**message.headers, "id": token, "root_id": token},
                **{**message.properties, "correlation_id": token},
            )
    except OperationalError as error:
        logger.warning("no token sent to the %s lane: %s", lane, error)

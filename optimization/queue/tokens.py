"""Celery messages that put a process on duty in a lane; the queue itself knows what to run."""

import logging
from functools import cache
from typing import Any

from celery import current_app
from celery.utils import uuid
from django.conf import settings
from kombu.exceptions import OperationalError

from optimization.queue.lanes import Lane

logger = logging.getLogger(__name__)

RUN_LANE = "optimization.run_lane"
"""Name of the task, so that the web process need not import it."""

DUTY_SECONDS = 2
"""How long a token puts a process on duty; a request that runs by then still runs to its end."""

TOKEN_SECONDS = 1.0
"""A token that put nobody on duty for so long counts as lost, and others may be sent."""


def task_seconds(lane: Lane) -> int:
    """When Celery kills the process: the lane's limit even for a duty's last request, and a bit."""
    return int(settings.HARD_TIME_LIMITS[lane.value]) + DUTY_SECONDS + 3


@cache
def _template(lane: Lane) -> Any:
    """Celery's own message for the task; only its id changes from one token to the next."""
    return current_app.amqp.as_task_v2(
        "",
        RUN_LANE,
        (lane.value,),
        {},
        time_limit=task_seconds(lane),
        ignore_result=True,
    )


@cache
def broker_errors() -> tuple[type[Exception], ...]:
    """What a broker of this kind raises when it is away, or its line is dead."""
    broker: Any = current_app.connection_for_write()
    return (OperationalError, *broker.connection_errors, *broker.channel_errors)


def send_token(lane: Lane) -> None:
    """Put a process of a lane on duty.

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
    except broker_errors() as error:
        logger.warning("no token sent to the %s lane: %s", lane, error)

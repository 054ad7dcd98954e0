"""Celery messages that say "run the next of this lane"; the queue itself knows which that is."""

import logging

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from optimization.lanes import Lane

logger = logging.getLogger(__name__)

RUN_NEXT = "optimization.run_next"
"""Name of the task, so that the web process need not import it."""


def send_token(lane: Lane) -> None:
    """Wake a worker of a lane.

    A token that is lost delays nothing for good: the workers look for unserved requests every
    second, so a broker that is away is logged and not raised.
    """
    try:
        current_app.send_task(
            RUN_NEXT,
            args=[lane.value],
            queue=lane.value,
            time_limit=settings.HARD_TIME_LIMITS[lane.value] + 5,
            ignore_result=True,
        )
    except OperationalError as error:
        logger.warning("no token sent to the %s lane: %s", lane, error)

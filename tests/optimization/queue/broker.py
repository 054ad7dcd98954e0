"""The tokens that wait in the broker, whichever broker it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from kombu import Queue

from optimization.queue.lanes import Lane


@contextmanager
def convex_tokens() -> Iterator[Any]:
    """The broker's queue of the convex lane, whichever broker it is."""
    with current_app.connection_for_write() as connection, connection.channel() as channel:
        queue = Queue(Lane.CONVEX.value, channel=channel)
        queue.declare()
        yield queue


def lose_tokens() -> None:
    """Empty the broker's queue of the lane."""
    with convex_tokens() as queue:
        queue.purge()


def tokens() -> int:
    """Celery messages that wait for a worker of the convex lane."""
    with convex_tokens() as queue:
        return int(queue.queue_declare().message_count)


def take_token() -> None:
    """Take one message as a worker would."""
    with convex_tokens() as queue:
        assert queue.get(no_ack=True) is not None

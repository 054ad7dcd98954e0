"""Celery's entrances; the work is in ``running`` and ``reconciliation``."""

from celery import shared_task

from optimization.queue import reconciliation
from optimization.queue.lanes import Lane
from optimization.queue.tokens import RUN_NEXT
from optimization.solving import running


@shared_task(name=RUN_NEXT)
def run_next(lane: str) -> None:
    """Run the next request of a lane."""
    running.run_next(Lane(lane))


@shared_task(name="optimization.reconcile")
def reconcile() -> None:
    """Bring the queue in line with the rows."""
    reconciliation.reconcile()

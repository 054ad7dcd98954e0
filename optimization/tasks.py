"""Celery's entrances; the work is in ``running`` and ``reconciliation``."""

from celery import shared_task

from optimization import reconciliation, running
from optimization.lanes import Lane
from optimization.tokens import RUN_NEXT


@shared_task(name=RUN_NEXT)
def run_next(lane: str) -> None:
    """Run the next request of a lane."""
    running.run_next(Lane(lane))


@shared_task(name="optimization.reconcile")
def reconcile() -> None:
    """Bring the queue in line with the rows."""
    reconciliation.reconcile()

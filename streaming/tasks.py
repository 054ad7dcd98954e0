"""Celery's entrances of the streaming layer."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from optimization.models import TERMINAL, OptimizationRequest
from optimization.periodic import is_due
from streaming.fanout import history
from streaming.receivers import tell_finished


@shared_task(name="streaming.republish_missing")
def republish() -> None:
    """Tell what was not told."""
    if is_due("republish"):
        republish_missing()


def republish_missing() -> int:
    """Tell the ends that a crash kept from being told, and return how many those were."""
    now = timezone.now()
    since = now - timedelta(seconds=history.LOOK_BACK_SECONDS)
    ended = OptimizationRequest.objects.filter(status__in=TERMINAL, finished_at__gte=since)
    # A host whose clock is ahead dates its ends so that they are looked at for longer.
    ahead = ended.filter(finished_at__gt=now)
    history.remember(list(ahead.values_list("request_id", flat=True)))
    missing = history.untold(list(ended.values_list("request_id", flat=True)))
    for request in OptimizationRequest.objects.filter(request_id__in=missing).order_by("id"):
        tell_finished(request)
    return len(missing)

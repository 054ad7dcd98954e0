"""Totals of the history, against counting every row."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from redis import Redis

from optimization import totals
from optimization.models import OptimizationRequest, Status
from optimization.totals import STEP_ROWS, Group, request_totals

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]

LONG_AGO = timedelta(days=2)


def record(count: int, age: timedelta = LONG_AGO, **fields: object) -> None:
    """Record so many requests, a third of them cached and a third failed unless said otherwise."""
    first = OptimizationRequest.objects.count()
    at = timezone.now() - age
    OptimizationRequest.objects.bulk_create(
        [_row(number, at, fields) for number in range(first, first + count)]
    )


def _row(number: int, at: datetime, fields: dict[str, object]) -> OptimizationRequest:
    made: dict[str, object] = {
        "request_id": f"r{number}",
        "owner": "local",
        "method": "qaoa" if number % 2 else "mean_variance",
        "status": Status.FAILED if number % 3 == 0 else Status.SUCCEEDED,
        "cached": number % 3 == 1,
        "symbols": ["AAPL"],
        "created_at": at,
        "finished_at": at,
        "optimization_time": None if number % 3 == 0 else number / 1000,
        **fields,
    }
    return OptimizationRequest(**made)


def counted_one_by_one() -> tuple[Counter[Group], dict[Group, float]]:
    counts: Counter[Group] = Counter()
    seconds: dict[Group, float] = defaultdict(float)
    for row in OptimizationRequest.objects.all():
        group = Group(row.method, row.status, row.cached)
        counts[group] += 1
        seconds[group] += row.optimization_time or 0.0
    return counts, seconds


def assert_exact() -> None:
    found = request_totals()
    counts, seconds = counted_one_by_one()
    assert found.counts == counts
    assert found.seconds == pytest.approx(seconds, rel=1e-12)


def test_an_empty_history_has_no_totals() -> None:
    assert request_totals().counts == Counter()


def test_totals_are_those_of_every_row_however_often_one_asks() -> None:
    record(10, timedelta())
    assert_exact()
    for _ in range(3):
        record(STEP_ROWS)
        record(7, timedelta())
        assert_exact()
        assert_exact()


def test_a_row_that_ends_late_is_counted_once_and_as_it_ended() -> None:
    record(2, status=Status.RUNNING)
    record(STEP_ROWS)
    record(3, status=Status.QUEUED)
    assert_exact()
    OptimizationRequest.objects.filter(request_id="r0").update(status=Status.CANCELLED)
    assert_exact()
    record(2 * STEP_ROWS)
    OptimizationRequest.objects.filter(request_id="r1").update(
        status=Status.SUCCEEDED, optimization_time=5.0
    )
    assert_exact()
    assert_exact()


def test_a_long_history_is_counted_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "CHUNK_ROWS", 300)
    record(2 * STEP_ROWS + 50)
    assert_exact()


def test_what_was_counted_is_not_looked_at_again(redis_server: Redis) -> None:
    record(3 * STEP_ROWS)
    assert_exact()
    # The sums alone know of these: nobody told that they are gone.
    OptimizationRequest.objects.filter(pk__lte=_newest() - STEP_ROWS).delete()
    assert request_totals().counts.total() == 3 * STEP_ROWS
    assert 0 < redis_server.ttl(totals._key()) <= totals.KEPT_SECONDS


def test_sums_are_believed_for_a_day_however_often_they_are_written(redis_server: Redis) -> None:
    record(STEP_ROWS)
    request_totals()
    redis_server.expire(totals._key(), 1000)
    record(STEP_ROWS)
    request_totals()
    assert 0 < redis_server.ttl(totals._key()) <= 1000


def test_sums_that_redis_lost_are_counted_anew(redis_server: Redis) -> None:
    record(STEP_ROWS)
    assert_exact()
    redis_server.flushdb()
    assert_exact()


def test_a_database_that_was_put_back_is_counted_anew() -> None:
    record(STEP_ROWS)
    assert_exact()
    OptimizationRequest.objects.filter(pk__gt=_newest() - 10).delete()
    assert_exact()


@pytest.mark.django_db(transaction=True)
def test_pruning_is_seen_at_once() -> None:
    record(STEP_ROWS)
    record(STEP_ROWS, timedelta())
    assert_exact()
    call_command("prune_requests", "--older-than", "1d")
    assert OptimizationRequest.objects.count() == STEP_ROWS
    assert_exact()


@pytest.mark.django_db(transaction=True)
def test_the_requests_of_a_user_who_goes_are_counted_no_longer() -> None:
    ann = User.objects.create_user("ann")
    record(STEP_ROWS)
    record(STEP_ROWS, user=ann)
    record(STEP_ROWS)
    assert_exact()
    ann.delete()
    assert OptimizationRequest.objects.count() == 2 * STEP_ROWS
    assert_exact()


def _newest() -> int:
    newest = OptimizationRequest.objects.order_by("-pk").first()
    assert newest is not None
    return newest.pk

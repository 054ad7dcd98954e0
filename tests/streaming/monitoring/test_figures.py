"""Figures of the service."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from marketdata.models import Source
from marketdata.quotes import Quote, record_quotes
from optimization.models import OptimizationRequest, Status
from optimization.queue import workers
from optimization.queue.lanes import Lane
from streaming.monitoring.figures import Percentiles, service_figures

pytestmark = pytest.mark.usefixtures("redis_server", "db")


def _row(number: int, status: Status, seconds: float, age: timedelta) -> OptimizationRequest:
    at = timezone.now() - age
    return OptimizationRequest(
        request_id=f"r{number}",
        owner="local",
        client_id="desk",
        method="qaoa" if number % 2 else "mean_variance",
        objective="maximize_sharpe",
        lane="convex",
        symbols=["AAPL"],
        status=status,
        error={"code": "time_limit"} if status == Status.FAILED else None,
        created_at=at,
        started_at=at + timedelta(seconds=1),
        finished_at=at + timedelta(seconds=1 + seconds),
        optimization_time=seconds,
    )


def test_latencies_and_error_rates_are_those_of_the_last_day() -> None:
    recent, old = timedelta(minutes=5), timedelta(days=3)
    rows = [_row(2 * n, Status.SUCCEEDED, 0.01 * n, recent) for n in range(1, 11)]
    rows += [_row(1, Status.FAILED, 9, recent), _row(3, Status.SUCCEEDED, 0.5, recent)]
    rows += [_row(5, Status.FAILED, 9, old)]
    OptimizationRequest.objects.bulk_create(rows)
    figures = service_figures()
    convex, quantum = figures.methods
    assert convex.ran == Percentiles(
        *np.percentile([0.01 * n for n in range(1, 11)], [50, 90, 99]).tolist()
    )
    assert convex.waited.p50 == pytest.approx(1)
    assert (convex.total, convex.error_rate) == (10, 0)
    assert (quantum.total, quantum.error_rate) == (2, 0.5)
    assert figures.errors == {"time_limit": 1}


def test_queries_do_not_grow_with_the_history(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    rows = [_row(n, Status.SUCCEEDED, 0.1, timedelta(minutes=1)) for n in range(200)]
    OptimizationRequest.objects.bulk_create(rows)
    with django_assert_num_queries(1):
        service_figures()


def test_lanes_know_their_workers() -> None:
    workers.announce("a@host", [Lane.CONVEX], 2)
    workers.announce("b@host", [Lane.CONVEX, Lane.QUANTUM], 1)
    figures = {lane.lane: lane for lane in service_figures().lanes}
    assert figures[Lane.CONVEX].workers == {"a@host": 2, "b@host": 1}
    assert figures[Lane.CONVEX].processes == 3
    assert figures[Lane.HEURISTIC].processes == 0


def test_an_empty_service_has_no_percentiles() -> None:
    figures = service_figures()
    assert figures.methods == []
    assert Percentiles.of([]) == Percentiles(None, None, None)
    assert figures.feed.stale


def test_a_tick_that_came_while_the_figures_were_gathered_is_no_older_than_they() -> None:
    assert service_figures().feed_age is None
    record_quotes([Quote("AAPL", 1.0, time.time(), Source.SIMULATED, "simulated")])
    figures = service_figures()
    ticked = figures.feed.last_tick
    assert ticked is not None
    for later, age in ((2.0, 2.0), (0.0, 0.0), (-0.016, 0.0)):
        at = datetime.fromtimestamp(ticked + later, UTC)
        assert replace(figures, at=at).feed_age == pytest.approx(age, abs=1e-5)

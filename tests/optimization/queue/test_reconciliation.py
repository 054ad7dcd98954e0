"""Queue and rows are brought together again, whatever crashed between them."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from redis import Redis

from optimization.models import OptimizationRequest
from optimization.queue import admission
from optimization.queue.lanes import Lane
from optimization.queue.reconciliation import Sweeper, reconcile
from optimization.services import request_submit
from optimization.submissions import Submission
from tests import working
from tests.optimization.queue.broker import lose_tokens, tokens

pytestmark = pytest.mark.django_db

Submit = Callable[..., Submission]
Ends = list[tuple[str, str]]


def submitted(asked: Submit, count: int = 1) -> list[str]:
    """Requests that are old enough to be looked at."""
    names = [request_submit(asked()).request.request_id for _ in range(count)]
    OptimizationRequest.objects.update(created_at=timezone.now() - timedelta(seconds=10))
    return names


def test_nothing_is_done_when_queue_and_rows_agree(asked: Submit) -> None:
    submitted(asked, 3)
    working.claim(Lane.CONVEX)
    assert reconcile() == 0


def test_what_the_queue_lost_waits_again_in_its_old_order(
    asked: Submit, redis_server: Redis, ends: Ends
) -> None:
    names = submitted(asked, 4)
    redis_server.flushall()
    assert reconcile() == 4
    assert [admission.position(Lane.CONVEX, name) for name in names] == [1, 2, 3, 4]
    assert reconcile() == 0
    while working.run_next(Lane.CONVEX):
        pass
    assert [name for name, _ in ends] == names


def test_what_a_worker_held_when_the_queue_was_lost_is_run_again(
    asked: Submit, redis_server: Redis, ends: Ends
) -> None:
    (name,) = submitted(asked)
    claim = working.claimed(Lane.CONVEX)
    OptimizationRequest.objects.update(
        status="running", attempt=1, fence=claim.fence, started_at=timezone.now()
    )
    redis_server.flushall()
    assert reconcile() == 1
    working.run_next(Lane.CONVEX)
    assert ends == [(name, "succeeded")]


def test_a_request_on_its_way_into_the_queue_is_left_alone(
    asked: Submit, redis_server: Redis
) -> None:
    request_submit(asked())
    redis_server.flushall()
    assert reconcile() == 0


def test_an_ended_request_is_never_queued_again(asked: Submit, redis_server: Redis) -> None:
    submitted(asked)
    working.run_next(Lane.CONVEX)
    redis_server.flushall()
    assert reconcile() == 0


def test_what_finds_no_room_waits_for_the_next_time(
    asked: Submit, redis_server: Redis, settings: Settings
) -> None:
    names = submitted(asked, 3)
    redis_server.flushall()
    settings.MAX_QUEUE_SIZE = 2
    assert reconcile() == 2
    working.run_next(Lane.CONVEX)
    assert reconcile() == 1
    assert admission.position(Lane.CONVEX, names[2]) == 2


def test_the_sweeper_wakes_a_lane_that_it_saw_unserved_twice_once_for_each_process(
    asked: Submit,
) -> None:
    submitted(asked, 3)
    lose_tokens()
    sweeper = Sweeper([Lane.CONVEX], 2)
    sweeper.sweep()
    assert tokens() == 0
    sweeper.sweep()
    assert tokens() == 2


def test_the_sweeper_leaves_a_lane_alone_that_is_served(asked: Submit) -> None:
    submitted(asked, 2)
    working.claim(Lane.CONVEX)
    lose_tokens()
    sweeper = Sweeper([Lane.CONVEX], 2)
    for _ in range(4):
        sweeper.sweep()
    assert tokens() == 0

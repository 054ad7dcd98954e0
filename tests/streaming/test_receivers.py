"""Every end is told, whatever a solver or a crash left in the row."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest
from django.utils import timezone
from pydantic_core import from_json
from redis import Redis

from optimization.engine.problem import Method
from optimization.models import OptimizationRequest
from optimization.queue.lanes import LANES
from optimization.services import request_submit
from optimization.submissions import Submission
from streaming.fanout import history
from streaming.fanout.delivery import Delivery
from streaming.tasks import republish_missing
from tests.optimization.conftest import asked
from tests.working import run_next

__all__ = ["asked"]

pytestmark = pytest.mark.django_db


def told(redis: Redis) -> list[dict[str, object]]:
    """Every frame that the history holds."""
    entries = cast(
        "list[tuple[bytes, dict[bytes, bytes]]]", redis.xrange(history.stream_key("local"))
    )
    return [from_json(Delivery.decode(fields[b"message"]).text) for _, fields in entries]


@pytest.mark.parametrize("method", Method)
def test_every_method_answers_a_request_that_names_no_seed(
    method: Method, asked: Callable[..., Submission], redis_server: Redis
) -> None:
    request = request_submit(asked(method=method)).request
    run_next(LANES[method])
    (frame,) = told(redis_server)
    data = frame["data"]
    assert isinstance(data, dict)
    assert (data["type"], data["request_id"]) == ("optimization_result", request.request_id)
    assert data["metadata"]["seed"] == 0


def test_a_row_that_no_frame_can_be_made_of_ends_with_an_error_and_holds_nobody_up(
    asked: Callable[..., Submission], redis_server: Redis
) -> None:
    broken, sound = (request_submit(asked()).request for _ in range(2))
    for _ in range(2):
        run_next(LANES[Method.MEAN_VARIANCE])
    OptimizationRequest.objects.filter(pk=broken.pk).update(result={"weights": {}})
    redis_server.flushall()
    assert republish_missing() == 2
    first, second = (frame["data"] for frame in told(redis_server))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["request_id"], first["code"]) == (broken.request_id, "engine_error")
    assert second["request_id"] == sound.request_id


def test_what_is_kept_of_a_told_end_outlives_every_look_back_and_then_goes(
    asked: Callable[..., Submission], redis_server: Redis
) -> None:
    request = request_submit(asked()).request
    run_next(LANES[Method.MEAN_VARIANCE])
    assert republish_missing() == 0
    left = redis_server.ttl(history.once_key(request.request_id))
    assert history.LOOK_BACK_SECONDS < left <= history.ONCE_SECONDS
    left = redis_server.ttl(history.stream_key("local"))
    assert 0 < left <= history.KEPT_SECONDS
    # Later numbers must go on from here, or a client would believe that it missed nothing.
    assert redis_server.ttl(history.seq_key("local")) == -1


def test_an_end_that_a_clock_ahead_has_dated_is_known_for_as_long_as_it_is_looked_at(
    asked: Callable[..., Submission], redis_server: Redis
) -> None:
    request = request_submit(asked()).request
    run_next(LANES[Method.MEAN_VARIANCE])
    ahead = timezone.now() + timedelta(hours=1)
    OptimizationRequest.objects.filter(pk=request.pk).update(finished_at=ahead)
    key = history.once_key(request.request_id)
    redis_server.expire(key, 60)
    assert republish_missing() == 0
    assert redis_server.ttl(key) > history.LOOK_BACK_SECONDS

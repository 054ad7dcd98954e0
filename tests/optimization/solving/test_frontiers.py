"""A long frontier is traced by several workers, and is the same as one worker's."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from redis import Redis

from optimization import signals
from optimization.engine.frontier import CHUNK
from optimization.engine.problem import Objective
from optimization.models import Kind, OptimizationRequest, Status
from optimization.queue import admission, workers
from optimization.queue.admission import Claim
from optimization.queue.durations import pace
from optimization.queue.lanes import Lane
from optimization.services import request_begin, request_cancel, request_submit
from optimization.solving.frontiers import help_trace
from optimization.solving.results import PointRecord
from optimization.submissions import Owner, Submission
from tests import working
from tests.optimization.queue.broker import tokens

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("market")]

POINTS = 23
WEIGHT = 1e-7
"""Two solves of one point, each warm from another neighbour, agree in their weights so far."""

Help = Callable[[OptimizationRequest], None]


def submit() -> OptimizationRequest:
    return request_submit(
        Submission(
            owner=Owner("local"),
            client_id="desk",
            symbols=("AAPL", "JPM", "KO", "MSFT", "XOM"),
            kind=Kind.FRONTIER,
            objective=Objective.MINIMIZE_VARIANCE,
            parameters={"lookback": 500, "points": POINTS},
        )
    ).request


def solved(request: OptimizationRequest) -> list[Any]:
    request.refresh_from_db()
    assert request.status == Status.SUCCEEDED, request.error
    assert request.result is not None
    return list(request.result["points"])


@pytest.fixture
def told() -> Iterator[list[int]]:
    """Places of the points in the order in which they were told."""
    heard: list[int] = []

    def hear(point: PointRecord, **_kwargs: Any) -> None:
        heard.append(point.index)

    signals.request_point_found.connect(hear)
    yield heard
    signals.request_point_found.disconnect(hear)


@pytest.fixture
def two_workers(redis_server: Redis, settings: Settings) -> Iterator[None]:
    """A lane whose holders ask for help as soon as they can."""
    assert redis_server.ping()
    settings.FRONTIER_SPLIT_SECONDS = 0
    workers.announce("w", [Lane.CONVEX], 2)
    pace.forget()
    yield
    pace.forget()


@pytest.fixture
def after_a_point() -> Iterator[Callable[[int, Help], None]]:
    """Does something in the moment in which a point is told."""
    hears = []

    def listen(index: int, act: Help) -> None:
        def hear(request: OptimizationRequest, point: PointRecord, **_kwargs: Any) -> None:
            if point.index == index:
                act(request)

        hears.append(hear)
        signals.request_point_found.connect(hear)

    yield listen
    for hear in hears:
        signals.request_point_found.disconnect(hear)


def help_out(request: OptimizationRequest) -> None:
    help_trace(Lane(request.lane), request.request_id, request.fence)


@pytest.mark.usefixtures("two_workers")
def test_what_others_found_is_told_in_order_and_equals_what_one_worker_finds(
    told: list[int], after_a_point: Callable[[int, Help], None], settings: Settings
) -> None:
    settings.FRONTIER_SPLIT_SECONDS = 3600
    alone = submit()
    working.run_next(Lane.CONVEX)
    settings.FRONTIER_SPLIT_SECONDS = 0
    told.clear()
    seen: list[int] = []

    def hand_in(request: OptimizationRequest) -> None:
        help_out(request)
        seen.append(admission.lane_load(Lane.CONVEX).held)

    # The first point of the first chunk that was offered: a helper takes all the others.
    after_a_point(CHUNK, hand_in)
    before = tokens()
    shared = submit()
    working.run_next(Lane.CONVEX)
    assert seen == [1]
    assert told == list(range(POINTS))
    # The request's own token, and one message for the second process.
    assert tokens() == before + 2
    for one, other in zip(solved(alone), solved(shared), strict=True):
        assert other["index"] == one["index"]
        assert other["target_return"] == one["target_return"]
        assert other["weights"] == pytest.approx(one["weights"], abs=WEIGHT)
        assert other["optimality_gap"] <= 1e-8


@pytest.mark.usefixtures("two_workers")
def test_parts_that_a_dead_helper_took_are_traced_by_the_holder(
    told: list[int], after_a_point: Callable[[int, Help], None], redis_server: Redis
) -> None:
    lost: list[Any] = []

    def take_and_die(request: OptimizationRequest) -> None:
        (parts,) = redis_server.keys(f"*parts:{request.request_id}*")
        lost.append(redis_server.lpop(parts))

    after_a_point(CHUNK, take_and_die)
    request = submit()
    working.run_next(Lane.CONVEX)
    assert lost[0] is not None
    assert len(solved(request)) == POINTS
    assert told == list(range(POINTS))
    assert not redis_server.keys(f"*{request.request_id}:*")


@pytest.mark.usefixtures("two_workers")
def test_a_cancelled_frontier_is_helped_no_more(
    told: list[int], after_a_point: Callable[[int, Help], None], redis_server: Redis
) -> None:
    def cancel(request: OptimizationRequest) -> None:
        request_cancel(Owner("local"), request.request_id)

    after_a_point(CHUNK, cancel)
    request = submit()
    working.run_next(Lane.CONVEX)
    help_out(request)
    request.refresh_from_db()
    assert (request.status, request.result) == (Status.CANCELLED, None)
    assert not redis_server.keys(f"*{request.request_id}:*")


def begun() -> tuple[OptimizationRequest, Claim]:
    """A request that a worker holds, which has died since."""
    submit()
    claim = working.claimed(Lane.CONVEX)
    request = request_begin(claim)
    assert request is not None
    return request, claim


def test_nobody_helps_a_holder_that_lost_its_request(
    settings: Settings, redis_server: Redis, after_a_point: Callable[[int, Help], None]
) -> None:
    settings.LEASE_SECONDS = 0
    first, _ = begun()
    left: list[int] = []

    def look(_request: OptimizationRequest) -> None:
        (parts,) = redis_server.keys("*parts:*")
        before = int(redis_server.llen(parts))
        help_trace(Lane.CONVEX, first.request_id, first.fence)
        left.extend([before, int(redis_server.llen(parts))])

    settings.FRONTIER_SPLIT_SECONDS = 0
    workers.announce("w", [Lane.CONVEX], 2)
    pace.forget()
    after_a_point(CHUNK, look)
    working.run_next(Lane.CONVEX)
    pace.forget()
    assert len(solved(first)) == POINTS
    assert left[0] == left[1] > 0

"""What a worker does with a claim: every way ends the request, and gives the claim up."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import DataVersion
from optimization.engine.problem import Method, Objective
from optimization.models import OptimizationRequest, Status
from optimization.queue import admission
from optimization.queue.lanes import Lane
from optimization.services import request_begin, request_cancel, request_submit
from optimization.signals import request_progressed, request_started
from optimization.solving.running import MAX_ATTEMPTS, end_overdue
from optimization.submissions import Owner, Submission
from tests import working

pytestmark = pytest.mark.django_db

Submit = Callable[..., Submission]
Ends = list[tuple[str, str]]


def submitted(submission: Submission) -> OptimizationRequest:
    return request_submit(submission).request


def row(request: OptimizationRequest) -> OptimizationRequest:
    return OptimizationRequest.objects.get(pk=request.pk)


def nothing_is_left(lane: Lane = Lane.CONVEX) -> bool:
    load = admission.lane_load(lane)
    return (load.waiting, load.held, load.lost) == (0, 0, 0)


def test_an_empty_lane_runs_nothing(redis_server: Redis) -> None:
    assert working.run_next(Lane.CONVEX) is None


def test_requests_run_in_the_order_of_admission(asked: Submit, ends: Ends) -> None:
    requests = [submitted(asked()) for _ in range(4)]
    for _ in requests:
        working.run_next(Lane.CONVEX)
    assert [name for name, _ in ends] == [request.request_id for request in requests]
    assert {status for _, status in ends} == {"succeeded"}
    assert nothing_is_left()


def test_a_result_says_all_that_it_stands_on(asked: Submit, market: DataVersion) -> None:
    request = submitted(asked(metadata={"note": 1}))
    working.run_next(Lane.CONVEX)
    result = row(request).result
    assert result is not None
    assert sum(result["weights"].values()) == pytest.approx(1)
    metadata = result["metadata"]
    assert metadata["data_version"] == market.name == row(request).data_version
    assert metadata["request_metadata"] == {"note": 1}
    assert metadata["window"]["observations"] == 252
    assert metadata["window"]["partial"] is False
    assert metadata["data_sources"] == {"AAPL": "real", "KO": "real", "MSFT": "real"}


def test_a_watched_portfolio_gets_the_weights_of_any_other_request(asked: Submit) -> None:
    requests = [submitted(asked(portfolio_id=portfolio)) for portfolio in ("", "P1", "P1")]
    for _ in requests:
        working.run_next(Lane.CONVEX)
    results: list[Any] = [row(request).result for request in requests]
    plain, *watched = results
    for result in watched:
        assert result["weights"] == pytest.approx(plain["weights"], abs=1e-9)
        assert result["metadata"]["optimality_gap"] <= 1e-8


def test_a_worker_that_dies_is_succeeded_by_the_next_one(
    asked: Submit, ends: Ends, redis_server: Redis
) -> None:
    request = submitted(asked())
    assert working.claim(Lane.CONVEX) is not None
    redis_server.zadd("qe:queue:leases:convex", {request.request_id: 1.0})
    working.run_next(Lane.CONVEX)
    assert ends == [(request.request_id, "succeeded")]
    assert nothing_is_left()


def test_a_request_on_which_too_many_workers_died_is_given_up(asked: Submit, ends: Ends) -> None:
    request = submitted(asked())
    OptimizationRequest.objects.update(attempt=MAX_ATTEMPTS, started_at=timezone.now())
    working.run_next(Lane.CONVEX)
    error = row(request).error
    assert error is not None
    assert error["code"] == "worker_lost"
    assert ends == [(request.request_id, "failed")]
    assert nothing_is_left()


def test_a_request_that_takes_longer_than_its_lane_allows_is_given_up(
    asked: Submit, ends: Ends, settings: Settings
) -> None:
    request = submitted(asked())
    long_ago = timezone.now() - timedelta(seconds=settings.HARD_TIME_LIMITS["convex"] + 1)
    OptimizationRequest.objects.update(attempt=1, started_at=long_ago)
    working.run_next(Lane.CONVEX)
    error = row(request).error
    assert error is not None
    assert error["code"] == "time_limit"
    assert "60 s" in error["detail"]
    assert ends == [(request.request_id, "failed")]


def test_a_request_whose_solver_does_not_stop_is_ended_in_its_place_once(
    asked: Submit, ends: Ends
) -> None:
    submitted(asked())
    claim = working.claimed(Lane.CONVEX)
    request = request_begin(claim)
    assert request is not None
    assert [end_overdue(request, claim) for _ in range(2)] == [True, False]
    error = row(request).error
    assert error is not None
    assert error["code"] == "time_limit"
    assert ends == [(request.request_id, "failed")]
    assert nothing_is_left()


def test_what_the_method_cannot_treat_ends_with_an_error_that_names_it(
    asked: Submit, ends: Ends
) -> None:
    request = submitted(asked(method=Method.GENETIC_ALGORITHM))
    OptimizationRequest.objects.update(parameters={"lookback": 252, "shots": 5})
    working.run_next(Lane.HEURISTIC)
    error = row(request).error
    assert error is not None
    assert error["fields"] == ["parameters.shots"]
    assert ends == [(request.request_id, "failed")]
    assert nothing_is_left(Lane.HEURISTIC)


def test_data_that_disappeared_ends_the_request_with_an_error(asked: Submit, ends: Ends) -> None:
    request = submitted(asked())
    OptimizationRequest.objects.update(symbols=["GONE"])
    working.run_next(Lane.CONVEX)
    error = row(request).error
    assert error is not None
    assert error["code"] == "unknown_symbol"
    assert ends == [(request.request_id, "failed")]


def test_a_cancelled_request_is_not_run(asked: Submit, ends: Ends) -> None:
    request = submitted(asked())
    request_cancel(Owner("local"), request.request_id)
    assert working.run_next(Lane.CONVEX) is None
    assert ends == [(request.request_id, "cancelled")]


def test_a_request_that_is_cancelled_while_it_runs_ends_once(asked: Submit, ends: Ends) -> None:
    request = submitted(
        asked(
            method=Method.SIMULATED_ANNEALING,
            objective=Objective.MINIMIZE_VARIANCE,
            parameters={"lookback": 252, "iterations": 1_000_000, "target_gap": 0.0},
        )
    )

    def cancel_at_once(**_kwargs: Any) -> None:
        request_progressed.disconnect(cancel_at_once)
        request_cancel(Owner("local"), request.request_id)

    request_progressed.connect(cancel_at_once)
    working.run_next(Lane.HEURISTIC)
    assert ends == [(request.request_id, "cancelled")]
    assert row(request).status == Status.CANCELLED
    assert nothing_is_left(Lane.HEURISTIC)


def test_the_start_is_told_once_however_many_workers_begin(
    asked: Submit, redis_server: Redis
) -> None:
    told: list[str] = []

    def listen(request: OptimizationRequest, **_kwargs: Any) -> None:
        told.append(request.request_id)

    request_started.connect(listen)
    request = submitted(asked())
    OptimizationRequest.objects.update(attempt=1, started_at=timezone.now())
    working.run_next(Lane.CONVEX)
    another = submitted(asked())
    working.run_next(Lane.CONVEX)
    request_started.disconnect(listen)
    assert told == [another.request_id]
    assert row(request).status == Status.SUCCEEDED


def test_the_seed_of_a_request_decides_its_weights(asked: Submit) -> None:
    def weights(seed: int) -> list[float]:
        parameters = {"lookback": 252, "seed": seed, "iterations": 3, "population": 10}
        request = submitted(asked(method=Method.PARTICLE_SWARM, parameters=parameters))
        working.run_next(Lane.HEURISTIC)
        result = row(request).result
        assert result is not None
        return list(result["weights"].values())

    assert weights(1) == weights(1)
    assert not np.array_equal(weights(1), weights(2))

"""Automatic triggers reuse a result while it is young and quotes hold still; manual ones never."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import Source
from marketdata.quotes import Quote, latest_quotes, record_quotes
from optimization.engine.problem import Constraints, Method, Objective
from optimization.models import OptimizationRequest, Status, Trigger
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.signals import request_progressed
from optimization.solving import result_cache
from optimization.submissions import Owner, Submission
from tests.working import run_next

pytestmark = pytest.mark.django_db

Submit = Callable[..., Submission]


def solved(submission: Submission) -> OptimizationRequest:
    """The request after its run."""
    receipt = request_submit(submission)
    assert run_next(Lane.CONVEX) is not None
    return OptimizationRequest.objects.get(pk=receipt.request.pk)


def automatic(submission: Submission, trigger: Trigger = Trigger.TIME_BASED) -> Submission:
    return replace(submission, trigger=trigger)


def is_hit(submission: Submission) -> bool:
    return request_submit(submission).request.cached


def quote(symbol: str, price: float) -> Quote:
    return Quote(symbol, price, time.time(), Source.SIMULATED, "test")


def test_an_automatic_request_is_answered_by_a_manual_ones_result(asked: Submit) -> None:
    manual = solved(asked(metadata={"who": "first"}))
    receipt = request_submit(automatic(asked(metadata={"who": "second"})))
    request = receipt.request
    assert (request.status, request.cached, receipt.queue_position) == (Status.SUCCEEDED, True, 0)
    assert request.request_id != manual.request_id
    assert request.result is not None
    assert manual.result is not None
    assert request.result["weights"] == manual.result["weights"]
    assert request.result["metadata"]["request_metadata"] == {"who": "second"}


def test_a_result_from_the_cache_says_nothing_of_who_asked_first(asked: Submit) -> None:
    first = solved(
        asked(
            owner=Owner("user:71"),
            client_id="clientofann",
            idempotency_key="keyofann",
            metadata={"desk": "secretofann"},
        )
    )
    second = automatic(asked(owner=Owner("user:72"), client_id="clientofbob"))
    request = request_submit(second).request
    assert request.cached
    told = json.dumps(request.result)
    for own in (first.request_id, "user:71", "clientofann", "keyofann", "secretofann"):
        assert own not in told


@pytest.mark.parametrize("trigger", [t for t in Trigger if t is not Trigger.MANUAL])
def test_every_automatic_trigger_looks_in_the_cache(asked: Submit, trigger: Trigger) -> None:
    solved(asked())
    assert is_hit(automatic(asked(), trigger))


def test_a_manual_request_is_solved_anew(asked: Submit) -> None:
    solved(asked())
    assert not is_hit(asked())
    assert result_cache.statistics().total_accesses == 0


def test_an_automatic_request_fills_the_cache_too(asked: Submit) -> None:
    assert not solved(automatic(asked())).cached
    assert is_hit(automatic(asked()))


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": ("AAPL", "KO", "XOM")},
        {"symbols": ("KO", "AAPL", "MSFT")},
        {"objective": Objective.MINIMIZE_CVAR},
        {"constraints": Constraints(max_weight=0.95)},
        {"parameters": {"lookback": 252, "seed": 5}},
    ],
)
def test_whatever_determines_a_result_is_part_of_its_key(
    asked: Submit, changes: dict[str, object]
) -> None:
    solved(asked())
    assert not is_hit(automatic(asked(**changes)))


def test_the_method_and_the_data_version_are_part_of_the_key(asked: Submit) -> None:
    request = solved(asked())
    key = result_cache.cache_key(request, "v1")
    assert result_cache.cache_key(request, "v2") != key
    request.method = "qaoa"
    assert result_cache.cache_key(request, "v1") != key


@pytest.mark.django_db(transaction=True)
def test_a_result_is_stale_when_a_quote_has_moved_too_far(asked: Submit) -> None:
    record_quotes([quote("AAPL", 100.0), quote("KO", 50.0)])
    solved(asked())
    assert is_hit(automatic(asked()))
    record_quotes([quote("AAPL", 100.09)])
    assert is_hit(automatic(asked()))
    record_quotes([quote("AAPL", 100.11)])
    assert not is_hit(automatic(asked()))
    record_quotes([quote("AAPL", 100.0)])
    assert is_hit(automatic(asked()))
    record_quotes([quote("XOM", 5.0)])
    assert is_hit(automatic(asked()))
    record_quotes([quote("MSFT", 5.0)])
    assert not is_hit(automatic(asked()))


@pytest.mark.django_db(transaction=True)
def test_a_result_stands_on_the_quotes_that_it_was_solved_on_not_on_later_ones(
    asked: Submit,
) -> None:
    record_quotes([quote("AAPL", 100.0), quote("KO", 50.0), quote("MSFT", 200.0)])

    def move(**_kwargs: Any) -> None:
        record_quotes([quote("AAPL", 110.0)])

    request_progressed.connect(move)
    try:
        search = asked(method=Method.SIMULATED_ANNEALING, parameters={"lookback": 252, "seed": 1})
        receipt = request_submit(search)
        assert run_next(Lane.HEURISTIC) is not None
    finally:
        request_progressed.disconnect(move)
    assert latest_quotes(["AAPL"])["AAPL"].price == 110.0
    receipt.request.refresh_from_db()
    assert receipt.request.status == Status.SUCCEEDED
    assert not is_hit(automatic(search))
    record_quotes([quote("AAPL", 100.0)])
    assert is_hit(automatic(search))


def test_an_entry_lives_as_long_as_the_setting_says(
    asked: Submit, settings: Settings, redis_server: Redis
) -> None:
    settings.CACHE_TTL = 300
    request = solved(asked())
    key = cache.make_key(result_cache.cache_key(request, request.data_version))
    assert 290 <= int(redis_server.ttl(key)) <= 300
    redis_server.expire(key, 0)
    assert not is_hit(automatic(asked()))


def test_the_statistics_count_entries_accesses_and_hits(asked: Submit) -> None:
    solved(asked())
    request_submit(automatic(asked()))
    request_submit(automatic(asked(symbols=("KO", "PFE"))))
    statistics = result_cache.statistics()
    assert (statistics.total_entries, statistics.total_accesses, statistics.hits) == (1, 2, 1)
    assert statistics.ttl_seconds == 300
    assert result_cache.purge() == 1
    assert result_cache.statistics().total_entries == 0
    assert not is_hit(automatic(asked()))

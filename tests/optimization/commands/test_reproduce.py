"""``manage.py reproduce``."""

import datetime as dt
import io
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from marketdata.models import Source
from marketdata.quotes import Quote, record_quotes
from marketdata.selectors import last_closes
from marketdata.services import append_bars
from optimization.engine.problem import Method
from optimization.engine.registry import available_methods
from optimization.models import Kind, OptimizationRequest, Status
from optimization.queue.lanes import LANES
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from tests.working import run_next

pytestmark = pytest.mark.usefixtures("redis_server", "market")

SMALL = {"lookback": 120, "seed": 11, "iterations": 10}


def _record(
    method: Method, parameters: Mapping[str, Any] = SMALL, kind: Kind = Kind.OPTIMIZATION
) -> OptimizationRequest:
    request = request_submit(
        Submission(
            owner=Owner("local"),
            client_id="desk",
            symbols=("AAPL", "KO", "XOM"),
            method=method,
            parameters=parameters,
            kind=kind,
        )
    ).request
    run_next(LANES[method])
    request.refresh_from_db()
    assert request.status == Status.SUCCEEDED, request.error
    return request


def _reproduce(request_id: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command("reproduce", request_id, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.parametrize("method", available_methods())
def test_every_method_agrees_with_its_record_after_the_market_moved_on(method: Method) -> None:
    request = _record(method)
    append_bars(dt.date(2022, 12, 29), {"AAPL": 1.0, "KO": 100.0, "XOM": 55.0}, reason="next day")
    document = json.loads(_reproduce(request.request_id, "--json"))
    assert document["agrees"] is True
    assert document["largest_difference"] <= 1e-9


def test_the_default_lookback_may_change_in_between(settings: Settings) -> None:
    settings.DEFAULT_LOOKBACK = 120
    request = _record(Method.MEAN_VARIANCE, parameters={})
    settings.DEFAULT_LOOKBACK = 300
    assert "Agrees" in _reproduce(request.request_id)


def test_other_weights_are_a_failure() -> None:
    request = _record(Method.MEAN_VARIANCE)
    assert request.result is not None
    request.result["weights"]["AAPL"] += 1e-6
    request.save()
    with pytest.raises(CommandError, match="differ by up to 1e-06"):
        _reproduce(request.request_id)


def test_a_warm_start_is_named_where_weights_differ() -> None:
    request = _record(Method.MEAN_VARIANCE)
    assert request.result is not None
    request.result["weights"]["AAPL"] += 1e-6
    request.result["metadata"]["warm_start"] = True
    request.save()
    with pytest.raises(CommandError, match=r"differ by up to 1e-06.*may have found another"):
        _reproduce(request.request_id)


def test_what_has_no_result_cannot_be_repeated() -> None:
    request = _record(Method.MEAN_VARIANCE)
    OptimizationRequest.objects.update(status=Status.CANCELLED)
    with pytest.raises(CommandError, match="is cancelled"):
        _reproduce(request.request_id)
    with pytest.raises(CommandError, match="no request 'nope'"):
        _reproduce("nope")


def _quote(changes: Mapping[str, float]) -> None:
    closes = last_closes()
    now = time.time()
    record_quotes(
        Quote(
            symbol=symbol,
            price=closes[symbol] * (1 + change),
            timestamp=now,
            source=Source.SIMULATED,
            feed="test",
        )
        for symbol, change in changes.items()
    )


def test_a_run_on_live_quotes_is_repeated_from_its_own_last_return() -> None:
    _quote({"AAPL": 0.08, "KO": -0.05, "XOM": 0.02})
    request = _record(Method.MEAN_VARIANCE, {**SMALL, "include_live": True})
    assert request.result is not None
    window = request.result["metadata"]["window"]
    assert window["observations"] == SMALL["lookback"] + 1
    assert window["live_returns"] == pytest.approx({"AAPL": 0.08, "KO": -0.05, "XOM": 0.02})
    _quote({"AAPL": -0.08, "KO": 0.05, "XOM": -0.02})
    append_bars(dt.date(2022, 12, 29), {"AAPL": 1.0, "KO": 100.0, "XOM": 55.0}, reason="next day")
    assert "Agrees" in _reproduce(request.request_id)


def test_the_live_return_decides_the_weights_that_are_repeated() -> None:
    _quote({"AAPL": 0.08, "KO": -0.05, "XOM": 0.02})
    request = _record(Method.MEAN_VARIANCE, {**SMALL, "include_live": True})
    assert request.result is not None
    request.result["metadata"]["window"]["live_returns"]["KO"] = 0.05
    request.save()
    with pytest.raises(CommandError, match="differ by up to"):
        _reproduce(request.request_id)


def test_a_live_run_that_found_no_quotes_is_repeated_without_those_of_today() -> None:
    request = _record(Method.MEAN_VARIANCE, {**SMALL, "include_live": True})
    _quote({"AAPL": 0.08, "KO": -0.05, "XOM": 0.02})
    assert "Agrees" in _reproduce(request.request_id)


def test_a_live_run_without_its_last_return_says_that_it_cannot_be_repeated() -> None:
    request = _record(Method.MEAN_VARIANCE)
    assert request.result is not None
    request.result["metadata"]["window"]["partial"] = True
    request.save()
    with pytest.raises(CommandError, match="include_live"):
        _reproduce(request.request_id)


def test_a_frontier_agrees_in_every_point() -> None:
    request = _record(Method.MEAN_VARIANCE, {"lookback": 120, "points": 5}, kind=Kind.FRONTIER)
    document = json.loads(_reproduce(request.request_id, "--json"))
    assert document["agrees"] is True
    assert len(document["recorded"]) == 5 * 3
    assert request.result is not None
    request.result["points"][3]["weights"]["KO"] += 1e-6
    request.save()
    with pytest.raises(CommandError, match="differ by up to 1e-06"):
        _reproduce(request.request_id)

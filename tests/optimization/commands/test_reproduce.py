"""``manage.py reproduce``."""

import datetime as dt
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from marketdata.services import append_bars
from optimization.engine.problem import Method
from optimization.engine.registry import available_methods
from optimization.models import OptimizationRequest, Status
from optimization.queue.lanes import LANES
from optimization.services import request_submit
from optimization.solving.running import run_next
from optimization.submissions import Owner, Submission

pytestmark = pytest.mark.usefixtures("redis_server", "market")

SMALL = {"lookback": 120, "seed": 11, "iterations": 10}


def _record(method: Method, parameters: Mapping[str, Any] = SMALL) -> OptimizationRequest:
    request = request_submit(
        Submission(
            owner=Owner("local"),
            client_id="desk",
            symbols=("AAPL", "KO", "XOM"),
            method=method,
            parameters=parameters,
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


def test_what_has_no_result_cannot_be_repeated() -> None:
    request = _record(Method.MEAN_VARIANCE)
    OptimizationRequest.objects.update(status=Status.CANCELLED)
    with pytest.raises(CommandError, match="is cancelled"):
        _reproduce(request.request_id)
    with pytest.raises(CommandError, match="no request 'nope'"):
        _reproduce("nope")


def test_a_run_on_live_quotes_says_that_they_are_not_recorded() -> None:
    request = _record(Method.MEAN_VARIANCE)
    assert request.result is not None
    request.result["metadata"]["window"]["partial"] = True
    request.save()
    with pytest.raises(CommandError, match="include_live"):
        _reproduce(request.request_id)

"""``manage.py status``."""

import io
import json
import time

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import DataVersion, Source
from marketdata.quotes import Quote, record_quotes
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from tests.working import run_next


def _status(*arguments: str) -> str:
    out = io.StringIO()
    call_command("status", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture(autouse=True)
def _traffic(redis_server: Redis, market: DataVersion) -> None:
    for _ in range(2):
        request_submit(
            Submission(
                owner=Owner("local"),
                client_id="desk",
                symbols=("AAPL", "KO"),
                parameters={"lookback": 252},
            )
        )
    run_next(Lane.CONVEX)
    record_quotes([Quote("AAPL", 1.0, time.time(), Source.SIMULATED, "simulated")])


def test_the_document_holds_every_figure() -> None:
    document = json.loads(_status("--json"))
    lanes = {lane["lane"]: lane for lane in document["lanes"]}
    assert lanes["convex"]["waiting"] == 1
    assert document["methods"][0]["method"] == "mean_variance"
    assert document["methods"][0]["ended"] == {"succeeded": 1}
    assert document["methods"][0]["ran"]["p50"] > 0
    assert document["cache"]["total_entries"] == 1
    assert document["feed"]["name"] == "simulated"


def test_the_tables_are_for_people() -> None:
    text = _status()
    for word in ("Lanes", "convex", "mean_variance", "1 results", "simulated, last tick"):
        assert word in text


def test_an_unreachable_redis_points_to_the_doctor(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    with pytest.raises(CommandError, match="doctor"):
        _status()

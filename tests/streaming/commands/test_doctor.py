"""``manage.py doctor``."""

import io
import json
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from marketdata.models import Source
from marketdata.quotes import Quote, record_quotes
from optimization.queue import workers
from optimization.queue.lanes import Lane

pytestmark = pytest.mark.usefixtures("redis_server", "db")


def _findings() -> tuple[dict[str, Any], str]:
    """What was found, by name, and what the command ended with."""
    out, ended = io.StringIO(), ""
    try:
        call_command("doctor", "--json", stdout=out, stderr=io.StringIO())
    except CommandError as error:
        ended = str(error)
    return {finding["name"]: finding for finding in json.loads(out.getvalue())}, ended


@pytest.mark.usefixtures("market")
def test_a_healthy_server_has_nothing_to_mend() -> None:
    workers.announce("a@host", list(Lane), 1)
    record_quotes([Quote("AAPL", 1.0, time.time(), Source.SIMULATED, "simulated")])
    findings, ended = _findings()
    needed = {name: f["verdict"] for name, f in findings.items() if name != "Packages"}
    assert set(needed.values()) == {"ok"}
    assert ended == ""
    assert "7 symbols to 2022-12-28" in findings["Market data"]["detail"]


def test_what_is_missing_comes_with_its_mend() -> None:
    findings, ended = _findings()
    assert findings["Market data"]["verdict"] == "failure"
    assert "load_sample_market" in findings["Market data"]["mend"]
    assert findings["Workers"]["verdict"] == "failure"
    assert "manage.py worker convex" in findings["Workers"]["mend"]
    assert findings["Feed"]["verdict"] == "warning"
    assert ended == "needs a mend: Market data, Workers"


def test_an_unreachable_redis_is_a_failure_and_the_rest_is_still_looked_at(
    settings: Settings,
) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    findings, ended = _findings()
    assert findings["Redis"]["verdict"] == "failure"
    assert "REDIS_URL" in findings["Redis"]["mend"]
    assert findings["Database"]["verdict"] == "ok"
    assert "Redis" in ended


def test_a_knob_out_of_range_is_named(settings: Settings) -> None:
    settings.MAX_QUEUE_SIZE = 0
    findings, _ended = _findings()
    assert "MAX_QUEUE_SIZE is 0" in findings["Settings"]["detail"]
    assert findings["Settings"]["mend"]


def test_the_table_is_for_people() -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match="needs a mend"):
        call_command("doctor", stdout=out, stderr=io.StringIO())
    assert "→ Run `manage.py load_sample_market`." in out.getvalue()

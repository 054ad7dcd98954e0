"""The service page of the admin."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import Asset, DataVersion, Source
from marketdata.quotes import Quote, record_quotes
from optimization.models import OptimizationRequest, Status
from optimization.queue import workers
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from optimization.watching.pausing import triggers_paused
from tests.working import run_next

PAGE = "/admin/service/"


def _submit(**content: Any) -> OptimizationRequest:
    return request_submit(
        Submission(
            owner=Owner("local"),
            client_id="desk",
            symbols=("AAPL", "KO"),
            parameters={"lookback": 252},
            **content,
        )
    ).request


@pytest.fixture
def operator(admin_client: Client, redis_server: Redis) -> Client:
    """A signed-in superuser."""
    return admin_client


def _act(client: Client, action: str) -> str:
    response = client.post(PAGE, {"action": action}, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_it_shows_lanes_latencies_cache_and_feed(operator: Client, market: DataVersion) -> None:
    workers.announce("convex@host", [Lane.CONVEX], 2)
    record_quotes([Quote("AAPL", 1.0, time.time(), Source.SIMULATED, "simulated")])
    for _ in range(2):
        _submit()
    run_next(Lane.CONVEX)
    response = operator.get(PAGE)
    page = response.content.decode()
    for text in ("convex@host (2)", "none lives", "mean_variance", "p99", "simulated, last tick"):
        assert text in page
    assert "1 for 300 s" in page
    assert "<rect" in page
    assert "style=" not in page
    assert "require-trusted-types-for 'script'" in response["Content-Security-Policy"]


def test_every_admin_page_leads_to_it(operator: Client) -> None:
    assert f'href="{PAGE}"' in operator.get("/admin/").content.decode()


def test_draining_a_lane_cancels_what_waits_in_it(operator: Client, market: DataVersion) -> None:
    kept, drained = _submit(), [_submit(), _submit()]
    OptimizationRequest.objects.filter(pk=kept.pk).update(status=Status.RUNNING)
    assert "Cancelled 2 requests that waited in the convex lane." in _act(operator, "drain:convex")
    for row in drained:
        row.refresh_from_db()
        assert row.status == Status.CANCELLED
    kept.refresh_from_db()
    assert kept.status == Status.RUNNING


def test_the_cache_is_purged(operator: Client, market: DataVersion) -> None:
    _submit()
    run_next(Lane.CONVEX)
    assert "Forgot 1 cached results." in _act(operator, "purge_cache")


def test_triggers_are_paused_and_resumed(operator: Client) -> None:
    assert "Automatic triggers are paused." in _act(operator, "pause_triggers")
    assert triggers_paused()
    assert "Automatic triggers run again." in _act(operator, "resume_triggers")
    assert not triggers_paused()


def test_the_sample_is_reloaded(operator: Client, market: DataVersion) -> None:
    assert Asset.objects.count() == 7
    assert "Sample market:" in _act(operator, "reload_sample")
    assert Asset.objects.count() == 26


def test_an_unknown_action_changes_nothing(operator: Client) -> None:
    assert "Unknown action." in _act(operator, "drain:everything")


def test_an_unreachable_redis_is_said(operator: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    response = operator.get(PAGE)
    assert response.status_code == 200
    assert "manage.py doctor" in response.content.decode()


def test_staff_may_look_and_only_operators_act(db: None, redis_server: Redis) -> None:
    client = Client()
    assert client.get(PAGE).status_code == 302
    client.force_login(User.objects.create_user("viewer", is_staff=True))
    assert "<form" not in client.get(PAGE).content.decode().partition("qe-service")[2]
    assert client.post(PAGE, {"action": "purge_cache"}).status_code == 403


def test_an_action_needs_a_csrf_token(operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    assert strict.post(PAGE, {"action": "purge_cache"}).status_code == 403

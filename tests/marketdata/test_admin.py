"""Market data in the admin."""

import datetime as dt
import re

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import DataVersion, Source
from marketdata.quarantine import TickFilter
from marketdata.quotes import Quote, record_quotes
from marketdata.redis_client import redis_key
from marketdata.services import append_bars, ticks_quarantine

MODELS = ("asset", "bar", "dataversion", "quarantinedtick")


@pytest.fixture
def desk(db: None) -> Client:
    """A signed-in superuser."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def listing(client: Client, model: str, query: str = "") -> str:
    answer = client.get(reverse(f"admin:marketdata_{model}_changelist") + query)
    assert answer.status_code == 200
    return answer.content.decode()


def rows(html: str) -> int:
    return len(re.findall(r'<th class="field-', html))


def quarantine(count: int) -> None:
    ticks = [Quote("AAPL", -1.0 - i, 1.0, Source.REAL, "test") for i in range(count)]
    ticks_quarantine(TickFilter().sort(ticks, 1.0).refused)


@pytest.mark.parametrize("model", MODELS)
def test_every_list_takes_the_same_few_queries_however_long(
    desk: Client,
    market: DataVersion,
    model: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    quarantine(1)
    listing(desk, model)
    with django_assert_max_num_queries(12) as few:
        listing(desk, model)
    quarantine(40)
    append_bars(dt.date(2022, 12, 29), dict.fromkeys(["AAPL", "KO"], 50.0), reason="more")
    with django_assert_max_num_queries(len(few.captured_queries)):
        listing(desk, model)


@pytest.mark.parametrize("model", MODELS)
def test_every_page_of_one_row_takes_the_same_few_queries_however_many_there_are(
    desk: Client,
    market: DataVersion,
    model: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    quarantine(1)
    first = apps.get_model("marketdata", model)._default_manager.order_by("pk").first()
    assert first is not None
    page = reverse(f"admin:marketdata_{model}_change", args=[first.pk])
    assert desk.get(page).status_code == 200
    with django_assert_max_num_queries(6) as few:
        desk.get(page)
    quarantine(40)
    append_bars(dt.date(2022, 12, 29), dict.fromkeys(["AAPL", "KO"], 50.0), reason="more")
    with django_assert_max_num_queries(len(few.captured_queries)):
        desk.get(page)


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted(
    desk: Client, market: DataVersion, model: str
) -> None:
    quarantine(1)
    row = apps.get_model("marketdata", model)._default_manager.first()
    assert row is not None
    assert desk.get(reverse(f"admin:marketdata_{model}_add")).status_code == 403
    change = reverse(f"admin:marketdata_{model}_change", args=[row.pk])
    assert desk.get(change).status_code == 200
    assert desk.post(change, {"symbol": "X"}).status_code == 403
    delete = reverse(f"admin:marketdata_{model}_delete", args=[row.pk])
    assert desk.post(delete, {"post": "yes"}).status_code == 403


def test_bars_are_those_of_the_newest_day_or_of_one_symbol(
    desk: Client, market: DataVersion
) -> None:
    assert rows(listing(desk, "bar")) == 7
    assert "600 results" in listing(desk, "bar", "?q=AAPL")


def test_a_quarantined_tick_shows_its_price_and_the_rule(desk: Client) -> None:
    ticks = [Quote("KO", float("nan"), 1.0, Source.REAL, "alpaca")]
    ticks_quarantine(TickFilter().sort(ticks, 1.0).refused)
    html = listing(desk, "quarantinedtick")
    assert "nan" in html
    assert "not_a_number" in html
    assert "alpaca" in html


def test_nobody_sees_market_data_without_signing_in(db: None) -> None:
    assert Client().get(reverse("admin:marketdata_asset_changelist")).status_code == 302


def test_the_list_of_assets_says_how_the_feed_does(
    desk: Client, redis_server: Redis, settings: Settings
) -> None:
    assert "No feed has ticked yet." in listing(desk, "asset")
    record_quotes([Quote("KO", 60.0, 1.0, Source.SIMULATED, "simulated")])
    assert "Feed simulated is live." in listing(desk, "asset")
    redis_server.hset(redis_key("feed"), "last_tick", "1000.0")
    # What Redis itself does FEED_STALE_SECONDS after the last tick.
    redis_server.delete(redis_key("feed", "alive"))
    html = listing(desk, "asset")
    assert "Feed simulated is stale; automatic triggers pause." in html
    assert 'class="warning"' in html
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    assert "Redis does not answer" in listing(desk, "asset")

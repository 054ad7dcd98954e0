"""Symbols and prices over REST."""

import time

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from marketdata.models import Source
from marketdata.quotes import Quote, record_quotes

pytestmark = pytest.mark.usefixtures("redis_server", "market")


def test_symbols_come_with_source_and_span(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(2):
        document = client.get("/api/v1/symbols/").json()
    assert document["total"] == 7
    assert document["results"][0] == {
        "symbol": "AAPL",
        "name": "Apple",
        "source": "real",
        "first_date": "2020-08-12",
        "last_date": "2022-12-28",
        "bars": 600,
    }
    simulated = client.get("/api/v1/symbols/", {"source": "simulated"}).json()
    assert [row["symbol"] for row in simulated["results"]] == ["GOOGL"]


def test_symbols_are_searched_by_name_and_limited(client: Client) -> None:
    found = client.get("/api/v1/symbols/", {"search": "micro"}).json()
    assert [row["symbol"] for row in found["results"]] == ["MSFT"]
    limited = client.get("/api/v1/symbols/", {"limit": 2}).json()
    assert (len(limited["results"]), limited["total"]) == (2, 7)


def test_prices_say_how_fresh_they_are(client: Client) -> None:
    now = time.time()
    record_quotes(
        [
            Quote("AAPL", 130.5, now, Source.REAL, "replay"),
            Quote("KO", 63.0, now - 100, Source.REAL, "replay"),
        ]
    )
    document = client.get("/api/v1/prices/", {"symbols": "AAPL,KO,XOM"}).json()
    assert document["prices"]["AAPL"]["price"] == 130.5
    assert document["prices"]["AAPL"]["stale"] is False
    assert document["prices"]["KO"]["stale"] is True
    assert document["prices"]["KO"]["age"] == pytest.approx(100, abs=5)
    assert document["missing"] == ["XOM"]
    assert (document["feed"]["name"], document["feed"]["stale"]) == ("replay", False)
    assert set(client.get("/api/v1/prices/").json()["prices"]) == {"AAPL", "KO"}


def test_before_the_first_tick_there_are_no_prices(client: Client) -> None:
    document = client.get("/api/v1/prices/").json()
    assert document["prices"] == {}
    assert document["feed"] == {"name": "", "last_tick": None, "stale": True}

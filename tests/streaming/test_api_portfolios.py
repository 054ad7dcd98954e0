"""Watched portfolios and events over REST."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from optimization.models import Portfolio
from optimization.watching.events import MarketEvent, take_events

ADDRESS = "/api/v1/portfolios/"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server", "market")]


def post(client: Client, address: str = ADDRESS, **content: Any) -> Any:
    return client.post(address, json.dumps(content), content_type="application/json")


def watched(client: Client, **content: Any) -> dict[str, Any]:
    answer = post(client, symbols=["AAPL", "KO"], parameters={"lookback": 252}, **content)
    assert answer.status_code == 201, answer.content
    document: dict[str, Any] = answer.json()
    return document


def test_a_portfolio_is_watched_read_listed_and_ended(client: Client) -> None:
    made = watched(client, name="Desk", holdings={"AAPL": 3, "KO": 7})
    assert made["triggers"] == [{"kind": "price_change", "threshold": 0.01}]
    address = f"{ADDRESS}{made['portfolio_id']}/"
    read = client.get(address).json()
    assert read["standing"]["weights"].keys() == {"AAPL", "KO"}
    assert sum(read["standing"]["weights"].values()) == pytest.approx(1.0)
    assert [row["name"] for row in client.get(ADDRESS).json()["results"]] == ["Desk"]
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404
    assert client.get(ADDRESS).json()["results"] == []
    assert not Portfolio.objects.get().active


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["AAPL", "AAPL"]}, "symbols[0]"),
        ({"symbols": ["NOPE"]}, "symbols[0]"),
        ({"symbols": ["AAPL"], "holdings": {"KO": 1}}, "holdings.KO"),
        ({"symbols": ["AAPL"], "triggers": [{"kind": "time_based"}]}, "triggers"),
        ({"symbols": ["AAPL"], "triggers": [{"kind": "custom", "expression": "1"}]}, "triggers"),
        (
            {"symbols": ["AAPL"], "triggers": [{"kind": "price_change", "threshold": -1}]},
            "triggers[0].price_change.threshold",
        ),
        ({"symbols": ["AAPL"], "colour": "red"}, "colour"),
    ],
)
def test_an_unsound_order_is_refused_with_the_field_at_fault(
    client: Client, content: dict[str, Any], field: str
) -> None:
    answer = post(client, **{"parameters": {"lookback": 252}, **content})
    assert answer.status_code == 422, answer.content
    assert field in answer.json()["fields"]
    assert not Portfolio.objects.exists()


def test_a_body_that_is_no_object_is_refused(client: Client) -> None:
    answer = client.post(ADDRESS, "[1]", content_type="application/json")
    assert answer.status_code == 400


def test_nobody_sees_or_ends_the_portfolio_of_another(client: Client, settings: Settings) -> None:
    settings.LOCAL_MODE = False
    ann, bob = (User.objects.create_user(name) for name in ("ann", "bob"))
    client.force_login(ann)
    address = f"{ADDRESS}{watched(client)['portfolio_id']}/"
    client.force_login(bob)
    assert client.get(address).status_code == 404
    assert client.delete(address).status_code == 404
    assert client.get(ADDRESS).json()["results"] == []
    client.logout()
    assert client.get(ADDRESS).status_code == 401


def test_an_event_is_handed_to_the_watcher(client: Client) -> None:
    answer = post(client, "/api/v1/events/", headline="Apple reports", symbols=["AAPL"])
    assert answer.status_code == 202
    assert list(take_events()) == [MarketEvent("Apple reports", ("AAPL",))]
    assert list(take_events()) == []


@pytest.mark.parametrize("headline", [{}, {"headline": ""}, {"headline": "  "}])
def test_an_event_without_a_headline_is_refused(client: Client, headline: dict[str, str]) -> None:
    answer = post(client, "/api/v1/events/", symbols=["AAPL"], **headline)
    assert answer.status_code == 422
    assert answer.json()["fields"] == ["headline"]
    assert list(take_events()) == []


def test_an_event_about_a_symbol_without_prices_is_refused_by_its_name(client: Client) -> None:
    answer = post(client, "/api/v1/events/", headline="Apple reports", symbols=["KO", "AAPLE"])
    assert answer.status_code == 422
    assert answer.json()["fields"] == ["symbols[1]"]
    assert "did you mean AAPL?" in answer.json()["detail"]
    assert list(take_events()) == []

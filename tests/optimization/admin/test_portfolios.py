"""Watched portfolios in the admin."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from optimization.models import Portfolio
from optimization.submissions import Owner
from optimization.watching.portfolios import WatchOrder, portfolio_watch, portfolios_version
from optimization.watching.rules import PriceChangeRule

LIST = "/admin/optimization/portfolio/"

pytestmark = pytest.mark.usefixtures("redis_server", "market")


def _watch(name: str = "Desk") -> Portfolio:
    return portfolio_watch(
        WatchOrder(
            owner=Owner("local"),
            name=name,
            symbols=("AAPL", "KO"),
            parameters={"lookback": 252},
            rules=(PriceChangeRule(threshold=0.05),),
        )
    )


def test_list_and_detail_show_rules_and_holdings(admin_client: Client) -> None:
    portfolio = _watch("<b>Desk</b>")
    listed = admin_client.get(LIST).content.decode()
    assert "AAPL, KO" in listed
    assert "price_change" in listed
    page = admin_client.get(f"{LIST}{portfolio.pk}/change/").content.decode()
    assert "target 50.00 %" in page
    assert "threshold: 0.05" in page
    assert "<b>Desk</b>" not in page
    assert "style=" not in page


def test_queries_do_not_grow_with_rows(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        _watch(f"Desk {number}")
    with django_assert_max_num_queries(8):
        assert admin_client.get(LIST).status_code == 200


def test_watching_stops_and_begins_again_and_the_watcher_hears_of_it(admin_client: Client) -> None:
    portfolio, before = _watch(), portfolios_version()
    selected = {"_selected_action": [str(portfolio.pk)]}
    admin_client.post(LIST, {"action": "stop_watching", **selected})
    assert not Portfolio.objects.get().active
    admin_client.post(LIST, {"action": "watch_again", **selected})
    assert Portfolio.objects.get().active
    assert portfolios_version() == before + 2

"""Watched portfolios in the admin."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
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
    assert "&quot;threshold&quot;: 0.05" in page
    assert "<b>Desk</b>" not in page
    assert "style=" not in page


def test_queries_do_not_grow_with_rows(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        _watch(f"Desk {number}")
    with django_assert_max_num_queries(8):
        assert admin_client.get(LIST).status_code == 200


def test_queries_of_the_detail_page_do_not_grow_with_the_portfolio(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    small = _watch()
    Portfolio.objects.filter(pk=small.pk).update(
        symbols=["AAPL"] * 200, shares=[1.0] * 200, target_weights=[0.005] * 200
    )
    for number in range(12):
        _watch(f"Desk {number}")
    with django_assert_max_num_queries(6):
        assert admin_client.get(f"{LIST}{small.pk}/change/").status_code == 200


GOOD: dict[str, object] = {
    "name": "Renamed",
    "active": "on",
    "objective": "minimize_variance",
    "method": "mean_variance",
    "constraints": {"long_only": True, "max_weight": 0.7},
    "parameters": {"lookback": 120},
    "rules": [{"kind": "risk_alert", "measure": "drawdown", "limit": 0.1}],
}


def _change(client: Client, portfolio: Portfolio, **changes: object) -> Any:
    content = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in {**GOOD, **changes}.items()
    }
    return client.post(f"{LIST}{portfolio.pk}/change/", content)


def test_an_operator_changes_problem_and_rules_and_the_watcher_hears_of_it(
    admin_client: Client,
) -> None:
    portfolio, before = _watch(), portfolios_version()
    assert _change(admin_client, portfolio).status_code == 302
    changed = Portfolio.objects.get()
    assert (changed.name, changed.objective, changed.active) == (
        "Renamed",
        "minimize_variance",
        True,
    )
    assert changed.constraints["max_weight"] == 0.7
    assert changed.parameters == {"lookback": 120}
    assert changed.rules == [{"kind": "risk_alert", "measure": "drawdown", "limit": 0.1}]
    assert (changed.shares, changed.symbols) == (portfolio.shares, portfolio.symbols)
    assert portfolios_version() == before + 1


def test_a_result_that_came_while_the_form_was_open_is_kept(admin_client: Client) -> None:
    portfolio = _watch()
    Portfolio.objects.filter(pk=portfolio.pk).update(target_weights=[0.9, 0.1])
    _change(admin_client, portfolio)
    assert Portfolio.objects.get().target_weights == [0.9, 0.1]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rules", [{"kind": "price_change", "threshold": -1}], "greater than 0"),
        ("rules", [{"kind": "whim"}], "whim"),
        ("rules", [{"kind": "time_based", "cron": "61 * * * *"}], "cron field"),
        ("rules", [{"kind": "custom", "expression": "drift >"}], "expression"),
        ("rules", {"kind": "price_change"}, "list"),
        ("rules", "{", "valid JSON"),
        ("constraints", {"max_weight": 0.1}, "raise max_weight to at least 0.5"),
        ("constraints", {"max_wieght": 0.5}, "max_wieght"),
        ("constraints", {"max_weight": "much"}, "number"),
        ("parameters", [1], "object"),
        ("parameters", {"lookback": 100_000}, "lower lookback"),
        ("parameters", {"lookback": "long"}, "long"),
        ("objective", "be_rich", "valid choice"),
        ("name", "", "required"),
    ],
)
def test_what_the_wire_would_refuse_is_refused_at_its_field(
    admin_client: Client, field: str, value: object, words: str
) -> None:
    portfolio, before = _watch(), portfolios_version()
    answer = _change(admin_client, portfolio, **{field: value})
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field], errors
    assert words in str(errors[field])
    portfolio.refresh_from_db()
    assert portfolio.name == "Desk"
    assert portfolios_version() == before


def test_who_may_only_look_changes_nothing(client: Client) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_portfolio"))
    client.force_login(viewer)
    portfolio = _watch()
    assert client.get(f"{LIST}{portfolio.pk}/change/").status_code == 200
    assert _change(client, portfolio).status_code == 403
    assert Portfolio.objects.get().name == "Desk"


def test_watching_stops_and_begins_again_and_the_watcher_hears_of_it(admin_client: Client) -> None:
    portfolio, before = _watch(), portfolios_version()
    selected = {"_selected_action": [str(portfolio.pk)]}
    admin_client.post(LIST, {"action": "stop_watching", **selected})
    assert not Portfolio.objects.get().active
    admin_client.post(LIST, {"action": "watch_again", **selected})
    assert Portfolio.objects.get().active
    assert portfolios_version() == before + 2

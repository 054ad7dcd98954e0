"""The request history in the admin."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from marketdata.models import DataVersion
from optimization.models import Kind, OptimizationRequest, Status, Trigger
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from tests.working import run_next

LIST = "/admin/optimization/optimizationrequest/"

pytestmark = pytest.mark.usefixtures("redis_server")


@pytest.fixture
def operator(admin_client: Client) -> Client:
    """A signed-in superuser."""
    return admin_client


def _page(client: Client, address: str, **query: str) -> str:
    response = client.get(address, query)
    assert response.status_code == 200, response.content[:300]
    return response.content.decode()


def _submit(**content: Any) -> OptimizationRequest:
    symbols = content.pop("symbols", ("AAPL", "KO", "MSFT"))
    return request_submit(
        Submission(owner=Owner("local"), client_id="desk", symbols=symbols, **content)
    ).request


def _rows(count: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    OptimizationRequest.objects.bulk_create(
        OptimizationRequest(
            request_id=f"opt_desk_{number}",
            owner="local",
            client_id="desk",
            method="mean_variance",
            objective="maximize_sharpe",
            lane="convex",
            symbols=["AAPL", "KO", "JPM", "XOM", "PFE", "MSFT"],
            status=Status.SUCCEEDED,
            created_at=start + timedelta(days=number),
            started_at=start + timedelta(days=number, seconds=2),
            optimization_time=0.0123,
            result={"weights": {}, "metrics": {}, "metadata": {}},
        )
        for number in range(count)
    )


def test_the_list_shows_what_an_operator_asks_first(operator: Client) -> None:
    _rows(3)
    page = _page(operator, LIST)
    for text in ("opt_desk_0", "Succeeded", "mean_variance", "maximize_sharpe", "Manual"):
        assert text in page
    assert "AAPL, KO, JPM + 3 more" in page
    assert "12.3 ms" in page
    assert "2.00 s" in page


def test_queries_do_not_grow_with_rows(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    _rows(40)
    with django_assert_max_num_queries(8):
        _page(operator, LIST)


def test_queries_of_the_detail_page_do_not_grow_with_rows(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    _rows(40)
    row = OptimizationRequest.objects.first()
    assert row is not None
    with django_assert_max_num_queries(5):
        _page(operator, f"{LIST}{row.pk}/change/")


def test_the_list_is_searched_by_symbol_and_filtered(operator: Client) -> None:
    _rows(2)
    OptimizationRequest.objects.filter(request_id="opt_desk_1").update(
        symbols=["TSLA"], status=Status.FAILED
    )
    assert "opt_desk_1<" in _page(operator, LIST, q="tsla")
    assert "opt_desk_0<" not in _page(operator, LIST, q="tsla")
    assert "opt_desk_0<" not in _page(operator, LIST, status="failed")
    assert "opt_desk_0<" in _page(operator, LIST, created_at__year="2026", created_at__day="1")


def test_the_detail_page_shows_weights_metrics_and_constraints(
    operator: Client, market: DataVersion
) -> None:
    request = _submit(metadata={"note": "<script>alert(1)</script>"}, parameters={"lookback": 252})
    run_next(Lane.CONVEX)
    request.refresh_from_db()
    assert request.result is not None
    page = _page(operator, f"{LIST}{request.pk}/change/")
    heaviest = max(request.result["weights"].items(), key=lambda item: item[1])
    assert f"{heaviest[1] * 100:.2f} %" in page
    for text in ("Sharpe ratio", "long_only", market.name, "Certified gap", "qe-bar"):
        assert text in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "style=" not in page
    assert 'name="_save"' not in page


def test_the_detail_page_of_a_failure_shows_its_error(operator: Client) -> None:
    _rows(1)
    row = OptimizationRequest.objects.get()
    row.status, row.result = Status.FAILED, None
    row.error = {"code": "time_limit", "detail": "stopped after 61 s", "fields": []}
    row.save()
    page = _page(operator, f"{LIST}{row.pk}/change/")
    assert "stopped after 61 s" in page
    assert "Largest violation" not in page


def test_the_detail_page_of_a_frontier_shows_its_points(operator: Client) -> None:
    _rows(1)
    row = OptimizationRequest.objects.get()
    metrics = {"expected_return": 0.1234, "expected_volatility": 0.2}
    row.kind, row.result = Kind.FRONTIER, {"points": [{"metrics": metrics}], "metadata": {}}
    row.save()
    page = _page(operator, f"{LIST}{row.pk}/change/")
    assert "12.34 %" in page
    assert "20.00 %" in page


def _act(client: Client, action: str, *rows: OptimizationRequest) -> str:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    response = client.post(LIST, data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_cancel_ends_a_waiting_request_and_says_so_of_an_ended_one(
    operator: Client, market: DataVersion
) -> None:
    request = _submit(parameters={"lookback": 252})
    assert f"Cancelled: {request.request_id}" in _act(operator, "cancel", request)
    request.refresh_from_db()
    assert request.status == Status.CANCELLED
    assert "has already ended" in _act(operator, "cancel", request)


def test_run_again_submits_the_same_content_anew(operator: Client, market: DataVersion) -> None:
    first = _submit(parameters={"lookback": 252, "seed": 7}, trigger=Trigger.TIME_BASED)
    run_next(Lane.CONVEX)
    assert "Submitted: opt_admin_" in _act(operator, "run_again", first)
    run_next(Lane.CONVEX)
    again, before = OptimizationRequest.objects.all()
    assert again.status == before.status == Status.SUCCEEDED
    assert again.owner == before.owner
    assert again.trigger == Trigger.MANUAL
    for name in ("symbols", "method", "objective", "constraints", "parameters"):
        assert getattr(again, name) == getattr(before, name)
    assert again.result is not None
    assert before.result is not None
    assert again.result["weights"] == before.result["weights"]


def test_history_can_neither_be_added_changed_nor_deleted(operator: Client) -> None:
    _rows(1)
    row = OptimizationRequest.objects.get()
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.get(f"{LIST}{row.pk}/delete/").status_code == 403
    assert operator.post(f"{LIST}{row.pk}/change/", {"status": "failed"}).status_code == 403
    assert "delete_selected" not in _page(operator, LIST)


@pytest.fixture
def staff(db: None) -> Callable[[str], Client]:
    """Signs in a staff user who has one permission."""

    def sign_in(codename: str) -> Client:
        user = User.objects.create_user(codename, is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return sign_in


def test_who_may_only_view_cannot_act(staff: Callable[[str], Client]) -> None:
    _rows(1)
    viewer = _page(staff("view_optimizationrequest"), LIST)
    assert "opt_desk_0" in viewer
    assert "run_again" not in viewer
    assert "run_again" in _page(staff("change_optimizationrequest"), LIST)

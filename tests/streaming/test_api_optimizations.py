"""Requests over REST."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from optimization.engine.problem import Progress
from optimization.models import OptimizationRequest, Status
from optimization.queue.lanes import Lane
from optimization.signals import request_progressed
from streaming.protocol import ErrorCode
from streaming.rest.errors import HTTP_STATUS
from tests.working import run_next

ADDRESS = "/api/v1/optimizations/"
CONTENT = {"symbols": ["AAPL", "KO", "MSFT"], "parameters": {"lookback": 252}}

pytestmark = pytest.mark.usefixtures("redis_server", "market")


def _post(client: Client, content: Any, **headers: str) -> Any:
    body = content if isinstance(content, str) else json.dumps(content)
    return client.post(ADDRESS, body, content_type="application/json", headers=headers)


def test_a_request_is_queued_solved_and_read(client: Client) -> None:
    answer = _post(client, CONTENT)
    document = answer.json()
    assert answer.status_code == 202
    assert (document["status"], document["queue_position"]) == ("queued", 1)
    assert document["estimated_wait"] > 0
    assert answer["Location"].endswith(f"{ADDRESS}{document['request_id']}/")
    assert client.get(answer["Location"]).json() == document
    run_next(Lane.CONVEX)
    read = client.get(answer["Location"]).json()
    assert read["status"] == "succeeded"
    assert set(read["result"]["weights"]) == {"AAPL", "KO", "MSFT"}
    assert sum(read["result"]["weights"].values()) == pytest.approx(1)
    assert (read["queue_position"], read["error"], read["progress"]) == (0, None, None)


def test_the_same_key_runs_once_and_another_content_under_it_is_a_conflict(client: Client) -> None:
    first = _post(client, CONTENT, idempotency_key="a-1")
    again = _post(client, CONTENT, idempotency_key="a-1")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["request_id"] == again.json()["request_id"]
    other = _post(client, {**CONTENT, "objective": "minimize_variance"}, idempotency_key="a-1")
    assert other.status_code == 409
    assert other.json()["code"] == "idempotency_conflict"
    assert other.json()["fields"] == ["Idempotency-Key", "objective"]
    assert OptimizationRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "status", "code", "field"),
    [
        ("{", 400, "invalid_message", None),
        ("[1]", 400, "invalid_message", None),
        ("NaN", 400, "invalid_message", None),
        ('{"symbols": ["\\ud800"]}', 400, "invalid_message", None),
        ({}, 422, "invalid_request", "symbols"),
        ({"symbols": ["AAPL"], "extra": 1}, 422, "invalid_request", "extra"),
        ({"symbols": ["AAPL", "AAPL"]}, 422, "invalid_request", "symbols[0]"),
        ({"symbols": ["AAPL"], "method": "magic"}, 422, "invalid_request", "method"),
        ({"symbols": ["NOPE"]}, 422, "unknown_symbol", "symbols[0]"),
        (
            {**CONTENT, "constraints": {"max_weight": 0.1}},
            422,
            "infeasible",
            "constraints.max_weight",
        ),
    ],
)
def test_bad_content_is_refused_with_the_field_at_fault(
    client: Client, content: Any, status: int, code: str, field: str | None
) -> None:
    answer = _post(client, content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]
    assert (field in answer.json()["fields"]) if field else answer.json()["fields"] == []
    assert not OptimizationRequest.objects.exists()


def test_a_body_above_the_limit_and_one_of_another_type_are_refused(
    client: Client, settings: Settings
) -> None:
    settings.MAX_MESSAGE_BYTES = 1024
    assert _post(client, {**CONTENT, "metadata": {"x": "y" * 2000}}).status_code == 413
    plain = client.post(ADDRESS, "{}", content_type="text/plain")
    assert (plain.status_code, plain.json()["code"]) == (415, "invalid_message")


def test_a_full_queue_is_a_503_that_says_when_to_retry(client: Client, settings: Settings) -> None:
    settings.MAX_QUEUE_SIZE = 1
    assert _post(client, CONTENT).status_code == 202
    answer = _post(client, CONTENT)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer.json()["error"] == "Optimization queue full"
    assert answer.json()["retry"] is True


def test_an_unreachable_redis_is_a_503(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    answer = client.get("/api/v1/prices/")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")


def test_a_waiting_request_is_cancelled_once(client: Client) -> None:
    address = _post(client, CONTENT)["Location"]
    cancelled = client.post(f"{address}cancel/")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    again = client.post(f"{address}cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "already_finished")


def test_progress_is_read_while_a_request_runs(client: Client) -> None:
    answer = _post(client, CONTENT)
    row = OptimizationRequest.objects.get()
    OptimizationRequest.objects.update(status=Status.RUNNING)
    report = Progress(
        iteration=3,
        evaluations=90,
        best_value=0.5,
        bound=0.6,
        gap=0.1,
        elapsed=0.2,
        weights=None,  # type: ignore[arg-type]  # not part of the report on the wire
    )
    request_progressed.send(sender=OptimizationRequest, request=row, progress=report)
    progress = client.get(answer["Location"]).json()["progress"]
    assert (progress["iteration"], progress["bound"], progress["gap"]) == (3, 0.6, 0.1)


def test_a_failed_request_reads_as_the_error_frame_does(client: Client) -> None:
    answer = _post(client, CONTENT)
    error = {"code": "time_limit", "detail": "stopped after 61 s", "fields": []}
    OptimizationRequest.objects.update(status=Status.FAILED, error=error)
    read = client.get(answer["Location"]).json()
    assert read["error"]["error"] == "Optimization failed"
    assert read["error"]["request_id"] == read["request_id"]
    assert read["result"] is None


def test_the_list_is_filtered_and_paged_in_few_queries(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        objective = "minimize_variance" if number % 2 else "maximize_sharpe"
        _post(client, {**CONTENT, "objective": objective})
    run_next(Lane.CONVEX)
    with django_assert_max_num_queries(1):
        page = client.get(ADDRESS, {"limit": 2}).json()
    seen = [row["request_id"] for row in page["results"]]
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += [row["request_id"] for row in page["results"]]
    newest_first = OptimizationRequest.objects.values_list("request_id", flat=True)
    assert seen == list(newest_first)
    solved = client.get(ADDRESS, {"status": "succeeded"}).json()["results"]
    assert [row["metrics"]["sharpe_ratio"] is not None for row in solved] == [True]
    variance = client.get(ADDRESS, {"objective": "minimize_variance"}).json()["results"]
    assert len(variance) == 2
    assert len(client.get(ADDRESS, {"symbol": "KO"}).json()["results"]) == 5
    assert client.get(ADDRESS, {"symbol": "K"}).json()["results"] == []
    assert len(client.get(ADDRESS, {"search": "msf"}).json()["results"]) == 5
    assert client.get(ADDRESS, {"created_before": "2000-01-01T00:00:00Z"}).json()["results"] == []
    far = client.get(ADDRESS, {"created_before": "5074-01-24T11:31:31+21:52"})
    assert len(far.json()["results"]) == 5


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("created_before=0001-01-01T00:00:00%2B05:00", "created_before"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
        ("status=x", "status"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_bad_query_names_its_parameter(client: Client, query: str, field: str) -> None:
    answer = client.get(f"{ADDRESS}?{query}")
    assert (answer.status_code, answer.json()["fields"]) == (422, [field])


def _signed_in(name: str, **kwargs: Any) -> Client:
    client = Client(**kwargs)
    client.force_login(User.objects.create_user(name))
    return client


def test_nobody_sees_or_ends_what_is_somebody_elses(settings: Settings) -> None:
    settings.LOCAL_MODE = False
    ann, bob = _signed_in("ann"), _signed_in("bob")
    address = _post(ann, CONTENT)["Location"]
    assert len(ann.get(ADDRESS).json()["results"]) == 1
    assert bob.get(ADDRESS).json()["results"] == []
    for answer in (bob.get(address), bob.post(f"{address}cancel/")):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_request")
    assert ann.get(address).status_code == 200


def test_without_local_mode_a_stranger_has_to_sign_in(client: Client, settings: Settings) -> None:
    settings.LOCAL_MODE = False
    for address in (ADDRESS, "/api/v1/symbols/", "/api/v1/prices/", "/metrics"):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert "WWW-Authenticate" in answer


def test_a_session_needs_a_csrf_token_to_change_anything(settings: Settings) -> None:
    settings.LOCAL_MODE = False
    answer = _post(_signed_in("ann", enforce_csrf_checks=True), CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_strangers_page_cannot_post_to_the_loopback(client: Client) -> None:
    for origin, status in (
        ("https://evil.example", 403),
        ("http://localhost:8001", 403),
        ("null", 403),
        ("http://localhost:8000", 202),
    ):
        assert _post(client, CONTENT, origin=origin, host="localhost:8000").status_code == status


def test_every_error_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(ErrorCode)


def test_frontiers_are_submitted_listed_and_read(client: Client) -> None:
    _post(client, CONTENT)
    content = json.dumps({**CONTENT, "points": 3})
    answer = client.post("/api/v1/frontier/", content, content_type="application/json")
    assert answer.status_code == 202
    listed = client.get("/api/v1/frontier/").json()["results"]
    assert [row["request_id"] for row in listed] == [answer.json()["request_id"]]
    assert client.get("/api/v1/frontier/?symbol=XOM").json()["results"] == []
    assert len(client.get(f"{ADDRESS}?kind=optimization").json()["results"]) == 1
    while run_next(Lane.CONVEX) is not None:
        pass
    result = client.get(answer["Location"]).json()["result"]
    assert len(result["points"]) == 3

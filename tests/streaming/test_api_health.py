"""Health and metrics."""

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from optimization.queue import workers
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from tests.working import run_next

pytestmark = pytest.mark.usefixtures("redis_server", "db")


def test_a_process_that_answers_is_alive_whoever_asks(client: Client, settings: Settings) -> None:
    settings.LOCAL_MODE = False
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    answer = client.get("/api/v1/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_without_a_worker_the_server_is_not_ready_and_says_what_to_do(client: Client) -> None:
    answer = client.get("/api/v1/health/ready")
    checks = {check["name"]: check for check in answer.json()["checks"]}
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    assert checks["database"]["ok"]
    assert checks["redis"]["ok"]
    assert not checks["workers"]["ok"]
    assert "manage.py serve" in checks["workers"]["detail"]


def test_with_a_worker_it_is_ready(client: Client) -> None:
    workers.announce("test@host", [Lane.CONVEX], 2)
    answer = client.get("/api/v1/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert "convex: 2" in answer.content.decode()


def test_an_unreachable_redis_is_told_without_its_address(
    client: Client, settings: Settings
) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    answer = client.get("/api/v1/health/ready")
    assert answer.status_code == 503
    assert "nowhere" not in answer.content.decode()


@pytest.mark.usefixtures("market")
def test_metrics_are_those_of_the_rows_and_the_queue(client: Client) -> None:
    for _ in range(3):
        request_submit(
            Submission(
                owner=Owner("local"),
                client_id="desk",
                symbols=("AAPL", "KO"),
                parameters={"lookback": 252},
            )
        )
    run_next(Lane.CONVEX)
    workers.announce("test@host", [Lane.CONVEX], 2)
    answer = client.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }
    assert found["quantumedge_requests_recorded", "mean_variance", "succeeded"] == 1
    assert found["quantumedge_requests_recorded", "mean_variance", "queued"] == 2
    assert found["quantumedge_optimization_seconds_count", "mean_variance"] == 1
    assert found["quantumedge_optimization_seconds_sum", "mean_variance"] > 0
    assert found["quantumedge_queue_waiting", "convex"] == 2
    assert found["quantumedge_worker_processes", "convex"] == 2
    assert found["quantumedge_cache_entries",] == 1
    assert found["quantumedge_feed_stale",] == 1

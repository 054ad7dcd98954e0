"""Every answer of the REST API, to good and bad requests, is as its schema says; none is a 5xx."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from pytest_django.fixtures import Settings
from redis import Redis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from marketdata.models import DataVersion, Source
from marketdata.quotes import Quote, record_quotes
from marketdata.redis_client import redis_key
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.solving.running import run_next
from optimization.submissions import Owner, Submission

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture
def _one_connection() -> Iterator[None]:
    """Keep the test's transaction over requests, as Django's own test client does."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def api(redis_server: Redis, market: DataVersion, settings: Settings, _one_connection: None) -> Any:
    """The schema of a server with a worker, a quote, a solved request and one that waits."""
    settings.MAX_QUEUE_SIZE = 100_000
    for lane in Lane:
        redis_server.zadd(redis_key("workers", lane), {"test@host/1": time.time() + 3600})
    record_quotes([Quote("AAPL", 130.0, time.time(), Source.SIMULATED, "simulated")])
    for _ in range(2):
        request_submit(
            Submission(
                owner=Owner("local"),
                client_id="desk",
                symbols=("AAPL", "KO"),
                parameters={"lookback": 252},
            )
        )
    run_next(Lane.CONVEX)
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", get_wsgi_application())
    # Made-up credentials would only ever be answered by 401.
    schema.config.generation.update(with_security_parameters=False)
    return schema


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_keeps_its_schema(api: Any, mode: GenerationMode) -> None:
    """Each operation is asked by requests that fit its schema, and by requests that do not."""
    for operation in (found.ok() for found in api.get_all_operations()):
        if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=8,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        ask()


def _can_be_wrong(operation: Any) -> bool:
    """Whether some request breaks its schema; every string is an id, so an address cannot."""
    return bool(list(operation.query)) or bool(list(operation.body))

"""Every answer of the REST API, to good and bad requests, is as its schema says; none is a 5xx."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as property_settings
from pytest_django.fixtures import Settings
from redis import Redis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
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
from optimization.submissions import Owner, Submission
from streaming.access.tokens import TokenOrder, token_create, token_revoke
from streaming.models import Scope
from tests.working import run_next

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


OPEN = {
    "GET /api/v1/health/live",
    "GET /api/v1/health/ready",
}
"""Operations for programs that cannot sign in."""


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
    return schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", get_wsgi_application())


@pytest.fixture
def trader(settings: Settings) -> str:
    """A token that may do everything, on a server that asks to sign in."""
    settings.LOCAL_MODE = False
    user = User.objects.create_user("ann")
    return token_create(TokenOrder(user, "bot", Scope.TRADE))[1]


@pytest.fixture
def worthless(trader: str) -> list[str]:
    """Credentials that open nothing, or not enough."""
    user = User.objects.get()
    _, reads = token_create(TokenOrder(user, "reader", Scope.READ))
    old, expired = token_create(TokenOrder(user, "old", Scope.TRADE))
    old.expires_at = timezone.now()
    old.save()
    row, revoked = token_create(TokenOrder(user, "ended", Scope.TRADE))
    token_revoke(row)
    tokens = [reads, expired, revoked, trader[:-1], f"{trader}x", trader.upper(), "qe__", "é", ""]
    return [
        *(f"Bearer {token}" for token in tokens),
        "Bearer",
        f"Basic {trader}",
        f"Token {trader}",
        f"Bearer {trader} {trader}",
        trader,
    ]


Ask = Callable[[Any], None]


def _ask_everything(api: Any, mode: GenerationMode, ask: Ask, examples: int = 8) -> None:
    """Ask each operation by requests that fit its schema, or by requests that do not."""
    for operation in (found.ok() for found in api.get_all_operations()):
        if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @property_settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def each(case: Any) -> None:
            ask(case)

        each()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_keeps_its_schema(api: Any, mode: GenerationMode) -> None:
    """In local mode nobody signs in: credentials that are made up would be refused."""
    api.config.generation.update(with_security_parameters=False)
    _ask_everything(api, mode, lambda case: case.call_and_validate(checks=CHECKS))


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_it_keeps_its_schema_for_a_program_that_signed_in(
    api: Any, trader: str, mode: GenerationMode
) -> None:
    """``ignored_auth`` asks again without the token and with another, which must be refused."""
    api.config.generation.update(with_security_parameters=False)
    headers = {"Authorization": f"Bearer {trader}"}
    checks = [*CHECKS, ignored_auth]
    _ask_everything(
        api, mode, lambda case: case.call_and_validate(headers=headers, checks=checks), examples=4
    )


def test_credentials_that_are_made_up_open_nothing(api: Any, trader: str) -> None:
    """Schemathesis makes up the credentials; all but the open operations refuse them."""
    statuses: dict[str, set[int]] = {}

    def ask(case: Any) -> None:
        answer = case.call_and_validate(checks=CHECKS)
        statuses.setdefault(case.operation.label, set()).add(answer.status_code)

    _ask_everything(api, GenerationMode.POSITIVE, ask, examples=4)
    assert {label for label, seen in statuses.items() if seen != {401}} == OPEN


def test_credentials_that_open_nothing_are_answered_by_the_schema(
    api: Any, worthless: list[str]
) -> None:
    """Expired, revoked, cut short, of another scheme: read-only ones may read, no other may."""
    api.config.generation.update(with_security_parameters=False)
    for number, text in enumerate(worthless):
        allowed = {200, 404, 422} if number == 0 else set()

        def ask(case: Any, text: str = text, allowed: set[int] = allowed) -> None:
            headers = {"Authorization": text.encode()}
            answer = case.call_and_validate(headers=headers, checks=CHECKS)
            if case.operation.label not in OPEN:
                assert answer.status_code in {401, 403} | allowed, (case.operation.label, text)

        _ask_everything(api, GenerationMode.POSITIVE, ask, examples=1)


def _can_be_wrong(operation: Any) -> bool:
    """Whether some request breaks its schema; every string is an id, so an address cannot."""
    return bool(list(operation.query)) or bool(list(operation.body))

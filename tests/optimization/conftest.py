"""What the tests of requests share: submissions over a small real market, and their ends."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from marketdata.models import DataVersion
from optimization.models import OptimizationRequest
from optimization.signals import request_finished
from optimization.submissions import Owner, Submission

Submit = Callable[..., Submission]


@pytest.fixture
def asked(market: DataVersion, redis_server: Redis) -> Submit:
    """Makes a submission over the test market; keywords change it."""

    def make(**changes: Any) -> Submission:
        fields = {
            "owner": Owner("local"),
            "client_id": "client1",
            "symbols": ("AAPL", "KO", "MSFT"),
            "parameters": {"lookback": 252},
            **changes,
        }
        return Submission(**fields)

    return make


@pytest.fixture
def ends() -> Iterator[list[tuple[str, str]]]:
    """Request id and status of every end that was told, in order."""
    told: list[tuple[str, str]] = []

    def listen(request: OptimizationRequest, **_kwargs: Any) -> None:
        told.append((request.request_id, str(request.status)))

    request_finished.connect(listen)
    yield told
    request_finished.disconnect(listen)

"""``manage.py prune_requests``."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from optimization.models import OptimizationRequest, Status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _history() -> None:
    now = timezone.now()
    rows = [
        ("old", 40, Status.SUCCEEDED),
        ("new", 1, Status.FAILED),
        ("waiting", 40, Status.QUEUED),
    ]
    OptimizationRequest.objects.bulk_create(
        OptimizationRequest(
            request_id=name,
            owner="local",
            client_id="desk",
            method="mean_variance",
            objective="maximize_sharpe",
            lane="convex",
            symbols=["AAPL"],
            status=status,
            created_at=now - timedelta(days=age),
            finished_at=None if status == Status.QUEUED else now - timedelta(days=age),
        )
        for name, age, status in rows
    )


def _prune(*arguments: str) -> str:
    out = io.StringIO()
    call_command("prune_requests", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def _left() -> set[str]:
    return set(OptimizationRequest.objects.values_list("request_id", flat=True))


def test_only_ended_requests_of_that_age_go() -> None:
    assert _prune("--older-than", "30d").startswith("1 requests")
    assert _left() == {"new", "waiting"}


def test_a_dry_run_counts_only() -> None:
    document = json.loads(_prune("--older-than", "4w", "--dry-run", "--json"))
    assert document == {"requests": 1, "deleted": False}
    assert len(_left()) == 3


@pytest.mark.parametrize("span", ["30", "d", "-1d", "1y"])
def test_a_span_needs_a_number_and_a_unit(span: str) -> None:
    with pytest.raises(CommandError, match=r"time span|expected one argument"):
        _prune(f"--older-than={span}")

"""A frontier as a request: checked, queued, traced by a worker, told point by point."""

from collections.abc import Iterator
from typing import Any

import pytest

from optimization import signals
from optimization.engine.problem import Objective
from optimization.errors import InvalidRequestError
from optimization.models import Kind, OptimizationRequest, Status
from optimization.queue.lanes import Lane
from optimization.services import request_cancel, request_submit
from optimization.solving.results import PointRecord
from optimization.submissions import Owner, Submission
from streaming.frames import point_frame, terminal_frame
from tests.working import run_next

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server", "market")]

OWNER = Owner("local")


@pytest.fixture
def points() -> Iterator[list[PointRecord]]:
    """The points that were told."""
    heard: list[PointRecord] = []

    def hear(point: PointRecord, **_kwargs: Any) -> None:
        heard.append(point)

    signals.request_point_found.connect(hear)
    yield heard
    signals.request_point_found.disconnect(hear)


def submit(**content: Any) -> OptimizationRequest:
    submission = Submission(
        owner=OWNER,
        client_id="desk",
        symbols=("AAPL", "JPM", "KO", "MSFT", "XOM"),
        **{
            "kind": Kind.FRONTIER,
            "objective": Objective.MINIMIZE_VARIANCE,
            "parameters": {"lookback": 500, "points": 7},
            **content,
        },
    )
    return request_submit(submission).request


def test_every_point_is_told_and_the_whole_is_the_result(points: list[PointRecord]) -> None:
    request = submit()
    run_next(Lane.CONVEX)
    request.refresh_from_db()
    assert request.status == Status.SUCCEEDED
    assert [point.index for point in points] == list(range(7))
    frame = terminal_frame(request)["data"]
    assert frame["type"] == "frontier_result"
    told = [point_frame(request, point)["data"]["point"] for point in points]
    assert frame["points"] == told
    risks = [point["metrics"]["expected_volatility"] for point in frame["points"]]
    returns = [point["metrics"]["expected_return"] for point in frame["points"]]
    assert risks == sorted(risks)
    assert returns == sorted(returns)
    assert all(abs(sum(point["weights"].values()) - 1) < 1e-9 for point in frame["points"])


def test_a_frontier_needs_no_return_above_the_risk_free_rate(points: list[PointRecord]) -> None:
    submit(
        objective=Objective.MAXIMIZE_SHARPE,
        parameters={"lookback": 500, "points": 3, "risk_free_rate": 5.0},
    )
    run_next(Lane.CONVEX)
    assert len(points) == 3


def test_a_cancelled_frontier_has_no_result() -> None:
    request = submit()
    request_cancel(OWNER, request.request_id)
    run_next(Lane.CONVEX)
    request.refresh_from_db()
    assert (request.status, request.result) == (Status.CANCELLED, None)


def test_one_portfolio_still_needs_a_return_above_the_risk_free_rate() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        submit(
            kind=Kind.OPTIMIZATION,
            objective=Objective.MAXIMIZE_SHARPE,
            parameters={"lookback": 500, "risk_free_rate": 5.0},
        )
    assert refusal.value.code == "no_excess_return"

"""Comparing on workers; the test plays the workers of each lane, between two looks."""

from collections.abc import Iterator

import pytest

from optimization.engine.problem import Constraints, Method, Objective
from optimization.models import OptimizationRequest, Status
from optimization.queue import workers
from optimization.queue.lanes import Lane
from optimization.solving.comparing import compare_on_workers
from optimization.submissions import Submission
from tests.optimization.conftest import Submit
from tests.working import run_next

pytestmark = pytest.mark.django_db

METHODS = (Method.PARTICLE_SWARM, Method.MEAN_VARIANCE, Method.SIMULATED_ANNEALING)


@pytest.fixture
def submissions(asked: Submit) -> list[Submission]:
    """One problem by three methods of two lanes, whose workers live."""
    for lane in (Lane.CONVEX, Lane.HEURISTIC):
        workers.announce("test@host", [lane], 1)
    few: dict[str, int] = {"lookback": 252, "iterations": 30}
    plain = {"lookback": 252}
    return [
        asked(method=method, parameters=plain if method is Method.MEAN_VARIANCE else few)
        for method in METHODS
    ]


def statuses() -> list[str]:
    return list(OptimizationRequest.objects.order_by("id").values_list("status", flat=True))


def test_all_wait_at_once_and_come_back_in_the_order_they_were_asked(
    submissions: list[Submission],
) -> None:
    seen: list[list[str]] = []
    turns: Iterator[Lane] = iter((Lane.CONVEX, Lane.HEURISTIC, Lane.HEURISTIC))

    def work() -> None:
        seen.append(statuses())
        run_next(next(turns))

    ends: list[int] = []
    outcomes = compare_on_workers(submissions, lambda: ends.append(len(seen)), work)
    assert [outcome["method"] for outcome in outcomes] == list(METHODS)
    assert seen[0] == ["queued", "queued", "queued"]
    assert ends == [1, 2, 3]
    for outcome in outcomes:
        assert sum(outcome["result"]["weights"].values()) == pytest.approx(1)
        assert outcome["result"]["metadata"]["method"] == outcome["method"]


def test_an_interruption_cancels_what_has_not_ended(submissions: list[Submission]) -> None:
    def interrupted() -> None:
        if Status.SUCCEEDED in statuses():
            raise KeyboardInterrupt
        run_next(Lane.CONVEX)

    with pytest.raises(KeyboardInterrupt):
        compare_on_workers(submissions, lambda: None, interrupted)
    assert statuses() == ["cancelled", "succeeded", "cancelled"]


def test_what_is_refused_or_fails_says_why_and_the_others_go_on(asked: Submit) -> None:
    workers.announce("test@host", [Lane.CONVEX], 1)
    submissions = [
        asked(),
        asked(method=Method.QAOA),
        asked(constraints=Constraints(max_weight=0.1)),
        asked(objective=Objective.MAXIMIZE_SHARPE, parameters={"risk_free_rate": 0.99}),
    ]

    def work() -> None:
        assert run_next(Lane.CONVEX) is not None

    outcomes = compare_on_workers(submissions, lambda: None, work)
    assert "result" in outcomes[0]
    assert outcomes[1]["error"]["code"] == "service_unavailable"
    assert "quantum lane" in outcomes[1]["error"]["detail"]
    assert outcomes[2]["error"]["fields"]
    assert "error" in outcomes[3]

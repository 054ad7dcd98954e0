"""Every transition of a request, each decided by one conditional update."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django.fixtures import Settings

from optimization.engine.problem import Constraints, Method, Objective
from optimization.errors import (
    AlreadyFinishedError,
    IdempotencyConflictError,
    InvalidRequestError,
    MarketDataUnavailableError,
    QueueFullError,
    UnknownRequestError,
)
from optimization.models import OptimizationRequest, Status, Trigger
from optimization.queue import admission
from optimization.queue.lanes import Lane
from optimization.services import (
    Receipt,
    request_begin,
    request_cancel,
    request_fail,
    request_readmit,
    request_submit,
    request_succeed,
)
from optimization.submissions import Owner, Submission
from tests import working

pytestmark = pytest.mark.django_db(transaction=True)

Submit = Callable[..., Submission]
Ends = list[tuple[str, str]]

LOCAL = Owner("local")
RESULT = {
    "weights": {"AAPL": 1.0, "KO": 0.0, "MSFT": 0.0},
    "metrics": {"sharpe_ratio": 0.5},
    "metadata": {
        "objective": "maximize_sharpe",
        "constraints": {},
        "method": "mean_variance",
        "parameters": {},
        "request_metadata": {},
        "solver": "by hand",
        "solve_time": 0.1,
        "optimality_gap": None,
        "max_violation": 0.0,
        "binding_constraints": [],
        "risk_contributions": None,
        "covariance": "sample",
        "seed": 0,
        "data_version": "v1",
        "data_sources": {},
        "market_data_timestamp": 0.0,
        "window": {},
    },
}
ERROR = {"code": "solver_failure", "detail": "it failed", "fields": []}


def begun(submission: Submission) -> OptimizationRequest:
    """A request that a worker holds."""
    receipt = request_submit(submission)
    claim = working.claimed(Lane(receipt.request.lane))
    request = request_begin(claim)
    assert request is not None
    return request


def together(*calls: Callable[[], object]) -> list[object]:
    """Call everything at the same moment, each in a thread of its own; errors are results."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except (AlreadyFinishedError, IdempotencyConflictError, QueueFullError) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_a_submission_is_recorded_queued_and_placed(asked: Submit) -> None:
    first, second = request_submit(asked()), request_submit(asked())
    assert (first.queue_position, second.queue_position) == (1, 2)
    assert 0 < first.estimated_wait <= second.estimated_wait
    row = OptimizationRequest.objects.get(request_id=first.request.request_id)
    assert row.status == Status.QUEUED
    assert row.symbols == ["AAPL", "KO", "MSFT"]
    assert row.data_version
    assert row.started_at is None
    assert row.request_id.startswith("opt_client1_")


def test_a_request_goes_from_queued_over_running_to_succeeded(asked: Submit, ends: Ends) -> None:
    request = begun(asked())
    assert (request.status, request.attempt) == (Status.RUNNING, 1)
    assert request.started_at is not None
    assert request_succeed(request, RESULT)
    row = OptimizationRequest.objects.get(pk=request.pk)
    assert row.status == Status.SUCCEEDED
    assert row.result == RESULT
    assert row.finished_at is not None
    assert row.optimization_time is not None
    assert row.optimization_time > 0
    assert ends == [(request.request_id, "succeeded")]


def test_a_request_that_fails_keeps_its_error(asked: Submit, ends: Ends) -> None:
    request = begun(asked())
    assert request_fail(request, ERROR)
    row = OptimizationRequest.objects.get(pk=request.pk)
    assert (row.status, row.error) == (Status.FAILED, ERROR)
    assert ends == [(request.request_id, "failed")]


@pytest.mark.parametrize("first", ["succeed", "fail", "cancel"])
def test_nothing_ends_twice(asked: Submit, ends: Ends, first: str) -> None:
    request = begun(asked())
    endings: dict[str, Callable[[], object]] = {
        "succeed": lambda: request_succeed(request, RESULT),
        "fail": lambda: request_fail(request, ERROR),
        "cancel": lambda: request_cancel(LOCAL, request.request_id),
    }
    assert endings[first]()
    assert not request_succeed(request, RESULT)
    assert not request_fail(request, ERROR)
    with pytest.raises(AlreadyFinishedError):
        request_cancel(LOCAL, request.request_id)
    assert len(ends) == 1


def test_of_endings_at_the_same_moment_exactly_one_wins(asked: Submit, ends: Ends) -> None:
    for _ in range(8):
        request = begun(asked())
        copy = OptimizationRequest.objects.get(pk=request.pk)
        results = together(
            lambda request=request: request_succeed(request, RESULT),  # type: ignore[misc]
            lambda copy=copy: request_fail(copy, ERROR),  # type: ignore[misc]
            lambda name=request.request_id: request_cancel(LOCAL, name),  # type: ignore[misc]
        )
        won = [r for r in results if r is True or isinstance(r, OptimizationRequest)]
        assert len(won) == 1
        assert [name for name, _ in ends].count(request.request_id) == 1
        row = OptimizationRequest.objects.get(pk=request.pk)
        assert ends[-1] == (row.request_id, row.status)


def test_a_waiting_request_can_be_cancelled_and_leaves_the_queue(asked: Submit, ends: Ends) -> None:
    first, second = request_submit(asked()).request, request_submit(asked()).request
    assert request_cancel(LOCAL, first.request_id).status == Status.CANCELLED
    assert admission.position(Lane.CONVEX, second.request_id) == 1
    assert ends == [(first.request_id, "cancelled")]


def test_a_claim_of_a_request_that_has_ended_begins_nothing(asked: Submit) -> None:
    request = request_submit(asked()).request
    claim = working.claimed(Lane.CONVEX)
    request_cancel(LOCAL, request.request_id)
    assert request_begin(claim) is None


def test_a_worker_that_lost_its_lease_cannot_end_the_request(asked: Submit, ends: Ends) -> None:
    lost = begun(asked())
    newer = admission.Claim(Lane.CONVEX, lost.request_id, lost.fence + 1)
    heir = request_begin(newer)
    assert heir is not None
    assert (heir.attempt, heir.started_at) == (2, lost.started_at)
    assert not request_succeed(lost, RESULT)
    assert not request_fail(lost, ERROR)
    assert request_succeed(heir, RESULT)
    assert len(ends) == 1


def test_an_older_claim_cannot_begin_what_a_newer_one_holds(asked: Submit) -> None:
    request = begun(asked())
    older = admission.Claim(Lane.CONVEX, request.request_id, request.fence - 1)
    assert request_begin(older) is None


def test_nobody_cancels_what_is_not_theirs(asked: Submit, ends: Ends) -> None:
    user = User.objects.create(username="ada")
    request = request_submit(asked(owner=Owner.of(user))).request
    for stranger in (LOCAL, Owner("user:999")):
        with pytest.raises(UnknownRequestError):
            request_cancel(stranger, request.request_id)
    assert OptimizationRequest.objects.get(pk=request.pk).status == Status.QUEUED
    assert not ends
    assert request_cancel(Owner.of(user), request.request_id).status == Status.CANCELLED


def test_the_same_key_and_content_never_runs_twice(asked: Submit) -> None:
    first = request_submit(asked(idempotency_key="mine"))
    again = request_submit(asked(idempotency_key="mine"))
    assert not first.repeated
    assert again.repeated
    assert again.request.pk == first.request.pk
    assert again.queue_position == 1
    assert OptimizationRequest.objects.count() == 1
    assert admission.waiting_counts()[Lane.CONVEX] == 1


def test_the_same_key_for_other_content_is_refused_by_field(asked: Submit) -> None:
    request_submit(asked(idempotency_key="mine"))
    with pytest.raises(IdempotencyConflictError) as caught:
        request_submit(asked(idempotency_key="mine", objective=Objective.MINIMIZE_CVAR))
    assert caught.value.fields == ("request_id", "objective")
    assert OptimizationRequest.objects.count() == 1


def test_two_owners_may_use_the_same_key(asked: Submit) -> None:
    user = User.objects.create(username="ada")
    request_submit(asked(idempotency_key="mine"))
    receipt = request_submit(asked(idempotency_key="mine", owner=Owner.of(user)))
    assert not receipt.repeated


def test_the_same_key_after_the_end_gives_the_ended_request(asked: Submit) -> None:
    request = begun(asked(idempotency_key="mine"))
    request_succeed(request, RESULT)
    receipt = request_submit(asked(idempotency_key="mine"))
    assert receipt.repeated
    assert receipt.request.status == Status.SUCCEEDED
    assert receipt.queue_position == 0


def test_the_same_key_at_the_same_moment_gives_one_request(asked: Submit) -> None:
    receipts = together(*[lambda: request_submit(asked(idempotency_key="mine"))] * 4)
    requests = {r.request.pk for r in receipts if isinstance(r, Receipt)}
    assert len(requests) == 1
    assert sum(not r.repeated for r in receipts if isinstance(r, Receipt)) == 1
    assert OptimizationRequest.objects.count() == 1
    assert admission.waiting_counts()[Lane.CONVEX] == 1


def test_a_full_queue_refuses_and_keeps_nothing(asked: Submit, settings: Settings) -> None:
    settings.MAX_QUEUE_SIZE = 2
    request_submit(asked())
    request_submit(asked())
    with pytest.raises(QueueFullError):
        request_submit(asked())
    assert OptimizationRequest.objects.count() == 2


def test_submissions_at_the_same_moment_respect_the_bound(
    asked: Submit, settings: Settings
) -> None:
    settings.MAX_QUEUE_SIZE = 5
    results = together(*[lambda: request_submit(asked())] * 10)
    assert sum(isinstance(r, QueueFullError) for r in results) == 5
    assert OptimizationRequest.objects.count() == 5
    positions = [r.queue_position for r in results if isinstance(r, Receipt)]
    assert sorted(positions) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("changes", "error", "code", "fields"),
    [
        (
            {"symbols": ("AAPL", "NOPE")},
            MarketDataUnavailableError,
            "unknown_symbol",
            ("symbols[1]",),
        ),
        (
            {"parameters": {"lookback": 5000}},
            MarketDataUnavailableError,
            "market_data_unavailable",
            None,
        ),
        (
            {"constraints": Constraints(max_weight=0.3)},
            InvalidRequestError,
            "infeasible",
            ("constraints.max_weight",),
        ),
        (
            {"constraints": Constraints(min_weight=0.4)},
            InvalidRequestError,
            "infeasible",
            ("constraints.min_weight",),
        ),
        (
            {"parameters": {"lookback": 252, "risk_free_rate": 9.0}},
            InvalidRequestError,
            "no_excess_return",
            ("objective", "parameters.risk_free_rate"),
        ),
    ],
)
def test_what_can_have_no_answer_is_refused_before_it_is_queued(
    asked: Submit,
    changes: dict[str, object],
    error: type[InvalidRequestError | MarketDataUnavailableError],
    code: str,
    fields: tuple[str, ...] | None,
) -> None:
    with pytest.raises(error) as caught:
        request_submit(asked(**changes))
    assert caught.value.code == code
    assert caught.value.fields[: len(fields or ())] == (fields or ())
    assert caught.value.fields
    assert not OptimizationRequest.objects.exists()
    assert admission.waiting_counts()[Lane.CONVEX] == 0


def test_a_request_that_the_queue_lost_waits_again_at_the_end(asked: Submit) -> None:
    lost = request_submit(asked()).request
    request_submit(asked())
    admission.cancel(Lane.CONVEX, lost.request_id)
    assert request_readmit(lost)
    assert admission.position(Lane.CONVEX, lost.request_id) == 2


def test_heuristic_methods_wait_in_a_lane_of_their_own(asked: Submit) -> None:
    request_submit(asked())
    receipt = request_submit(asked(method=Method.GENETIC_ALGORITHM))
    assert receipt.queue_position == 1
    assert receipt.request.lane == Lane.HEURISTIC


def test_automatic_triggers_are_recorded_with_their_trigger(asked: Submit) -> None:
    for trigger in Trigger:
        assert request_submit(asked(trigger=trigger)).request.trigger == trigger

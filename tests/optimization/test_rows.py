"""A request's statements write and bring what Django's own would."""

import datetime as dt

import pytest
from django.db import IntegrityError
from django.forms.models import model_to_dict

from optimization import rows
from optimization.models import OptimizationRequest, Portfolio, Status
from optimization.queue.admission import Claim
from optimization.queue.lanes import Lane

pytestmark = pytest.mark.django_db(transaction=True)

NOW = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=2)
RESULT = {"weights": {"A": 0.1, "B": 0.9}, "note": "é\u2028", "none": None, "small": 1e-300}


def draft(**changed: object) -> OptimizationRequest:
    fields = {
        "request_id": "opt_c_1",
        "owner": "local",
        "client_id": "c",
        "method": "mean_variance",
        "objective": "minimize_variance",
        "lane": "convex",
        "symbols": ["A", "B"],
        "constraints": {"max_weight": 0.9},
        "metadata": {"desk": "é"},
        "created_at": NOW,
    }
    return OptimizationRequest(**{**fields, **changed})


def stored(request: OptimizationRequest) -> dict[str, object]:
    """All of a row, as Django reads it."""
    row = OptimizationRequest.objects.get(pk=request.pk)
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_request_is_recorded_as_django_would_record_it() -> None:
    ours, theirs = draft(), draft(request_id="opt_c_2")
    rows.insert(ours)
    theirs.save(force_insert=True)
    own_names = {"id": theirs.pk, "request_id": "opt_c_2"}
    assert {**stored(ours), **own_names} == stored(theirs)
    assert model_to_dict(ours) == model_to_dict(OptimizationRequest.objects.get(pk=ours.pk))


def test_a_recorded_request_can_be_saved_and_read_again() -> None:
    request = draft()
    rows.insert(request)
    request.client_id = "d"
    request.save()
    request.refresh_from_db()
    assert request.client_id == "d"
    assert OptimizationRequest.objects.count() == 1


def test_an_idempotency_key_is_taken_once_for_each_owner() -> None:
    rows.insert(draft(idempotency_key="k"))
    rows.insert(draft(idempotency_key="k", owner="user:7", request_id="opt_c_2"))
    with pytest.raises(IntegrityError):
        rows.insert(draft(idempotency_key="k", request_id="opt_c_3"))
    assert OptimizationRequest.objects.count() == 2


def test_a_begun_request_is_brought_as_django_reads_it() -> None:
    request = draft(result=None, cached=True)
    rows.insert(request)
    begun = rows.begin(Claim(Lane.CONVEX, "opt_c_1", 7))
    assert begun is not None
    assert (begun.status, begun.attempt, begun.fence) == (Status.RUNNING, 1, 7)
    names = [field.attname for field in begun._meta.concrete_fields]
    assert {name: getattr(begun, name) for name in names} == stored(request)


def test_only_a_newer_fence_begins_a_request_again_and_its_first_start_stays() -> None:
    rows.insert(draft())
    first = rows.begin(Claim(Lane.CONVEX, "opt_c_1", 7))
    assert rows.begin(Claim(Lane.CONVEX, "opt_c_1", 7)) is None
    assert rows.begin(Claim(Lane.CONVEX, "opt_c_1", 6)) is None
    again = rows.begin(Claim(Lane.CONVEX, "opt_c_1", 8))
    assert first is not None
    assert again is not None
    assert (again.attempt, again.started_at) == (2, first.started_at)


def test_a_request_nobody_recorded_is_not_begun() -> None:
    assert rows.begin(Claim(Lane.CONVEX, "opt_c_9", 1)) is None


@pytest.mark.parametrize("document", [RESULT, [], {}, None], ids=["result", "list", "{}", "none"])
def test_an_end_is_recorded_once_and_nothing_else_is_touched(document: object) -> None:
    request = draft()
    rows.insert(request)
    before = stored(request)
    end = {"status": Status.SUCCEEDED, "finished_at": LATER, "result": document}
    assert rows.end(request.pk, end, None)
    assert not rows.end(request.pk, {"status": Status.FAILED}, None)
    assert stored(request) == {**before, **end}


def test_another_fence_ends_nothing() -> None:
    request = draft(status=Status.RUNNING, fence=7)
    rows.insert(request)
    assert not rows.end(request.pk, {"status": Status.FAILED, "error": {}}, 6)
    assert stored(request)["status"] == Status.RUNNING
    assert rows.end(request.pk, {"status": Status.FAILED, "error": {}}, 7)


def watched(name: str) -> Portfolio:
    return Portfolio.objects.create(
        portfolio_id=name,
        owner="local",
        symbols=["A", "B"],
        shares=[1.5, 2],
        target_weights=[0.25, 0.75],
        objective="minimize_variance",
        method="mean_variance",
        base_prices=[10.0, 1e-7],
        base_data_version="v",
    )


def test_a_portfolio_is_found_as_django_reads_it() -> None:
    watched("pf_1")
    theirs = watched("pf_2")
    ours = rows.find_portfolio("pf_2")
    assert ours is not None
    assert model_to_dict(ours) == model_to_dict(theirs)
    assert (ours.pk, ours.created_at) == (theirs.pk, theirs.created_at)
    assert rows.find_portfolio("pf_3") is None


def test_a_portfolio_is_changed_in_the_fields_named_and_no_other_is() -> None:
    changed, other = watched("pf_1"), watched("pf_2")
    changes = {"shares": [0.1, 3e15], "base_data_version": "w", "optimized_at": NOW}
    rows.change_portfolio(changed.pk, changes)
    for name, value in changes.items():
        setattr(changed, name, value)
    for portfolio in (changed, other):
        assert model_to_dict(Portfolio.objects.get(pk=portfolio.pk)) == model_to_dict(portfolio)

"""Traces of requests: one trace from the submission to the published result, and none when off."""

from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django.fixtures import Settings

from optimization import tracing
from optimization.models import OptimizationRequest
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Submission
from tests.working import run_next

pytestmark = pytest.mark.django_db

Submit = Callable[..., Submission]


@pytest.fixture
def exported(settings: Settings) -> Iterator[InMemorySpanExporter]:
    """Where this process's spans go while traces are on."""
    settings.TRACES_URL = "http://127.0.0.1:9/never-called"
    exporter = InMemorySpanExporter()
    tracing.start(SimpleSpanProcessor(exporter))
    yield exporter
    tracing._Tracing.tracer = None


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_every_step_of_a_request_is_in_one_trace(
    asked: Submit, exported: InMemorySpanExporter
) -> None:
    request = request_submit(asked()).request
    run_next(Lane.CONVEX)
    spans = by_name(exported)
    assert spans.keys() == {"request", "queue", "run", "solve", "publish"}
    assert len({span.context.trace_id for span in spans.values()}) == 1
    root = spans["request"].context.span_id
    assert parent_id(spans["request"]) is None
    assert parent_id(spans["queue"]) == parent_id(spans["run"]) == root
    assert parent_id(spans["solve"]) == parent_id(spans["publish"]) == spans["run"].context.span_id
    attributes = spans["request"].attributes
    assert attributes is not None
    assert attributes["request_id"] == request.request_id
    assert attributes["method"] == "mean_variance"


def test_the_wait_in_the_queue_is_measured_from_the_rows_own_times(
    asked: Submit, exported: InMemorySpanExporter
) -> None:
    request_submit(asked())
    request = run_next(Lane.CONVEX)
    assert request is not None
    assert request.started_at is not None
    queue = by_name(exported)["queue"]
    assert queue.start_time == round(request.created_at.timestamp() * 1e9)
    assert queue.end_time == round(request.started_at.timestamp() * 1e9)


def test_the_row_keeps_the_context_so_that_another_process_continues_the_trace(
    asked: Submit, exported: InMemorySpanExporter
) -> None:
    request_submit(asked())
    stored = OptimizationRequest.objects.get().traceparent
    root = by_name(exported)["request"].context
    assert stored == f"00-{root.trace_id:032x}-{root.span_id:016x}-{root.trace_flags:02x}"


def test_a_failing_step_says_so(asked: Submit, exported: InMemorySpanExporter) -> None:
    request_submit(asked(symbols=("AAPL", "KO", "MSFT")))
    OptimizationRequest.objects.update(data_version="000009-none")
    run_next(Lane.CONVEX)
    assert not by_name(exported)["solve"].status.is_ok


def test_without_a_collector_nothing_is_made_or_stored(asked: Submit) -> None:
    request = request_submit(asked()).request
    assert run_next(Lane.CONVEX) is not None
    assert request.traceparent == ""
    assert tracing.span("run") is tracing.span("solve")
    assert tracing._Tracing.tracer is None

"""OpenTelemetry traces of requests, from the client's frame to the published result.

They are off unless ``TRACES_URL`` names a collector; then this module costs one comparison. The
row of a request keeps its trace's context, so that worker and web process write into one trace.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Tracer

EXPORT_MILLISECONDS = 1000
"""How long finished spans may wait for company before they are sent."""

_OFF: AbstractContextManager[None] = nullcontext()


class _Tracing:
    """This process's tracer; a forked child makes its own, whose sender is alive."""

    tracer: "Tracer | None" = None
    pid = 0


def span(name: str, parent: str = "", **attributes: Any) -> AbstractContextManager[None]:
    """A step of a request's life, until the block ends.

    Args:
        name: What is done.
        parent: A stored :func:`traceparent`, for a step that begins in a process of its own.
        attributes: What else is known; OpenTelemetry's simple types.
    """
    return _span(name, parent, attributes) if settings.TRACES_URL else _OFF


def record(name: str, parent: str, begin: datetime, end: datetime) -> None:
    """Write down a step that is over, as the wait in the queue."""
    if not settings.TRACES_URL:
        return
    past = _tracer().start_span(name, _context(parent), start_time=_nanoseconds(begin))
    past.end(_nanoseconds(end))


def traceparent() -> str:
    """The W3C context of the step that is being done, to be stored; empty when there is none."""
    if not settings.TRACES_URL:
        return ""
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - optional
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def start(processor: "SpanProcessor") -> None:
    """Send this process's spans to a processor."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": "quantumedge"}))
    provider.add_span_processor(processor)
    _Tracing.tracer, _Tracing.pid = provider.get_tracer("quantumedge"), os.getpid()


@contextmanager
def _span(name: str, parent: str, attributes: Mapping[str, Any]) -> Iterator[None]:
    with _tracer().start_as_current_span(name, _context(parent), attributes=dict(attributes)):
        yield


def _context(parent: str) -> "Context | None":
    """The context to continue: what this process is in the middle of, or else the stored one."""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - optional
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
        TraceContextTextMapPropagator,
    )

    if get_current_span().get_span_context().is_valid or not parent:
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _tracer() -> "Tracer":
    if _Tracing.tracer is None or _Tracing.pid != os.getpid():
        start(_sender())
    assert _Tracing.tracer is not None  # noqa: S101 - started above
    return _Tracing.tracer


def _sender() -> "SpanProcessor":
    """What sends spans to the collector in the background.

    Raises:
        ImproperlyConfigured: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ImproperlyConfigured(
            "TRACES_URL is set and OpenTelemetry is not installed; run:"
            " pip install -r requirements-extra.in, or unset TRACES_URL"
        ) from error
    exporter = OTLPSpanExporter(endpoint=settings.TRACES_URL)
    return BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_MILLISECONDS)


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e9)

"""Traces that the real processes send to a collector over HTTP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.client import optimise, receive
from tests.e2e.harness import data_folder, serving, wait_until

pytestmark = pytest.mark.e2e


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP and keeps the spans."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Intake)
        self.spans: list[Span] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class _Intake(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


async def test_web_process_and_forked_worker_write_into_one_trace(collector: Collector) -> None:
    with data_folder() as folder, serving(folder, FEED="none", TRACES_URL=collector.url) as server:
        server.wait_ready()
        async with server.connect() as socket:
            await receive(socket)
            end = await optimise(socket)
        request_id = end["data"]["request_id"]

        def trace() -> dict[str, Span]:
            roots = [
                span
                for span in collector.spans
                if any(a.value.string_value == request_id for a in span.attributes)
            ]
            ours = [s for s in collector.spans if roots and s.trace_id == roots[0].trace_id]
            return {span.name: span for span in ours}

        wait_until(lambda: trace().keys() == {"request", "queue", "run", "solve", "publish"})
        spans = trace()
    assert spans["run"].parent_span_id == spans["request"].span_id
    assert spans["solve"].start_time_unix_nano >= spans["queue"].end_time_unix_nano

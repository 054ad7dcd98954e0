"""Figures for Prometheus, gathered from the rows and Redis when asked: true over all processes."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from marketdata.quotes import feed_status
from optimization.models import Status
from optimization.queue import admission, workers
from optimization.queue.lanes import Lane
from optimization.solving import result_cache
from optimization.totals import request_totals
from streaming.fanout.presence import present


class ServiceCollector(Collector):
    """Gathers every figure at the moment of the scrape."""

    def collect(self) -> Iterator[Metric]:
        """All metric families."""
        yield from _requests()
        yield from _lanes()
        yield from _cache()
        yield from _connections()
        yield from _feed()


def exposition() -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector())
    return generate_latest(registry)


def _requests() -> Iterator[Metric]:
    totals = request_totals()
    recorded = GaugeMetricFamily(
        "quantumedge_requests_recorded", "Requests in the history.", labels=["method", "status"]
    )
    counts: Counter[tuple[str, str]] = Counter()
    for group, count in totals.counts.items():
        counts[group.method, group.status] += count
    for labels, count in sorted(counts.items()):
        recorded.add_metric(labels, count)
    yield recorded
    duration = SummaryMetricFamily(
        "quantumedge_optimization_seconds",
        "Seconds from the worker's claim to the result, cache hits left out.",
        labels=["method"],
    )
    for group, count in totals.counts.items():
        if group.status == Status.SUCCEEDED and not group.cached:
            duration.add_metric([group.method], count, totals.seconds[group])
    yield duration


def _lanes() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("quantumedge_queue_waiting", "Requests that wait.", labels=["lane"])
    running = GaugeMetricFamily(
        "quantumedge_queue_running", "Requests that a worker holds.", labels=["lane"]
    )
    processes = GaugeMetricFamily(
        "quantumedge_worker_processes", "Live worker processes.", labels=["lane"]
    )
    for lane in Lane:
        load = admission.lane_load(lane)
        waiting.add_metric([lane], load.waiting)
        running.add_metric([lane], load.held + load.lost)
        processes.add_metric([lane], workers.live_processes(lane))
    yield from (waiting, running, processes)


def _cache() -> Iterator[Metric]:
    figures = result_cache.statistics()
    yield GaugeMetricFamily(
        "quantumedge_cache_entries", "Results that can be served.", figures.total_entries
    )
    yield CounterMetricFamily(
        "quantumedge_cache_lookups", "Look-ups of the result cache.", figures.total_accesses
    )
    yield CounterMetricFamily("quantumedge_cache_hits", "Look-ups that found one.", figures.hits)


def _connections() -> Iterator[Metric]:
    connected = present()
    subscriptions = sum(map(len, connected.topics.values()))
    yield GaugeMetricFamily(
        "quantumedge_websocket_connections", "Open WebSockets.", len(connected.topics)
    )
    yield GaugeMetricFamily(
        "quantumedge_websocket_subscriptions", "Their subscriptions.", subscriptions
    )


def _feed() -> Iterator[Metric]:
    feed = feed_status()
    yield GaugeMetricFamily(
        "quantumedge_feed_last_tick_timestamp_seconds",
        "Epoch seconds of the last tick; 0 before the first.",
        feed.last_tick or 0.0,
    )
    yield GaugeMetricFamily("quantumedge_feed_stale", "1 when the feed is stale.", int(feed.stale))
    yield CounterMetricFamily("quantumedge_feed_ticks", "Quotes recorded.", feed.ticks)

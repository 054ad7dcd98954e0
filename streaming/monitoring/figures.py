"""How the service does, gathered once for the admin's service page and for ``manage.py status``."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Subquery
from django.utils import timezone

from marketdata.quotes import FeedStatus, feed_status
from optimization.models import OptimizationRequest, Status
from optimization.queue import admission, workers
from optimization.queue.lanes import Lane
from optimization.solving import result_cache
from optimization.solving.result_cache import CacheStatistics
from optimization.watching.pausing import triggers_paused
from streaming.fanout.presence import present

WINDOW = timedelta(hours=24)
"""How far back latencies and error rates look."""

NEWEST_ROWS = 5000
"""At most so many of the newest rows are looked at: the page stays quick on a busy server."""


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """One lane now.

    Attributes:
        lane: Which.
        waiting: Requests in its queue.
        running: Requests that a worker holds.
        lost: Requests whose worker died and that nobody has taken over yet.
        workers: Processes of each live worker.
    """

    lane: Lane
    waiting: int
    running: int
    lost: int
    workers: dict[str, int]

    @property
    def processes(self) -> int:
        """Processes over all live workers."""
        return sum(self.workers.values())


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A distribution of seconds; None where nothing was measured."""

    p50: float | None
    p90: float | None
    p99: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Percentiles":
        """Percentiles of measured seconds."""
        measured = np.fromiter(values, dtype=float)
        if measured.size == 0:
            return cls(None, None, None)
        return cls(*(float(value) for value in np.percentile(measured, [50, 90, 99])))


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One method over the last hours.

    Attributes:
        method: Which.
        ended: Requests that ended, by status.
        waited: From submission to the worker's claim.
        ran: From the claim to the result.
    """

    method: str
    ended: dict[str, int]
    waited: Percentiles
    ran: Percentiles

    @property
    def total(self) -> int:
        """Requests that ended."""
        return sum(self.ended.values())

    @property
    def error_rate(self) -> float:
        """Share of those that failed."""
        return self.ended.get(Status.FAILED, 0) / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The whole service.

    Attributes:
        at: When it was looked at.
        lanes: Queues and workers.
        methods: Latencies and outcomes since ``since``.
        errors: How often each error code ended a request since ``since``.
        since: Beginning of what ``methods`` and ``errors`` look at.
        cache: The result cache.
        connections: Open WebSockets.
        subscriptions: Their subscriptions, by topic.
        feed: How the feed does.
        triggers_paused: Whether an operator has paused the automatic triggers.
    """

    at: datetime
    lanes: list[LaneFigures]
    methods: list[MethodFigures]
    errors: dict[str, int]
    since: datetime
    cache: CacheStatistics
    connections: int
    subscriptions: dict[str, int]
    feed: FeedStatus
    triggers_paused: bool

    @property
    def feed_age(self) -> float | None:
        """Seconds since the last tick, which may have come while the figures were gathered."""
        if self.feed.last_tick is None:
            return None
        return max(0.0, self.at.timestamp() - self.feed.last_tick)


def service_figures() -> ServiceFigures:
    """Gather the figures: two queries and a few counts in Redis, however long the history is."""
    now = timezone.now()
    rows = _ended_rows(now - WINDOW)
    connected = present()
    topics = Counter(topic for topics in connected.topics.values() for topic in topics)
    return ServiceFigures(
        at=now,
        lanes=[_lane(lane) for lane in Lane],
        methods=_methods(rows),
        errors=dict(Counter(row["error__code"] for row in rows if row["status"] == Status.FAILED)),
        since=min((row["created_at"] for row in rows), default=now - WINDOW),
        cache=result_cache.statistics(),
        connections=len(connected.topics),
        subscriptions=dict(sorted(topics.items())),
        feed=feed_status(),
        triggers_paused=triggers_paused(),
    )


def _lane(lane: Lane) -> LaneFigures:
    load = admission.lane_load(lane)
    return LaneFigures(lane, load.waiting, load.held, load.lost, workers.live_workers(lane))


def _ended_rows(since: datetime) -> list[Any]:
    names = ("method", "status", "cached", "optimization_time", "created_at", "started_at")
    newest = OptimizationRequest.objects.order_by("-id").values("id")[:1]
    # By its key, so that the database never looks for a recent row through the whole history.
    rows = OptimizationRequest.objects.filter(id__gt=Subquery(newest) - NEWEST_ROWS)
    ended = rows.filter(finished_at__gte=since).order_by("-id")
    return list(ended.values(*names, "error__code"))


def _methods(rows: list[Any]) -> list[MethodFigures]:
    by_method: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_method[row["method"]].append(row)
    return [_method(method, by_method[method]) for method in sorted(by_method)]


def _method(method: str, rows: list[Any]) -> MethodFigures:
    solved = [row for row in rows if row["status"] == Status.SUCCEEDED and not row["cached"]]
    return MethodFigures(
        method=method,
        ended=dict(Counter(row["status"] for row in rows)),
        waited=Percentiles.of(
            (row["started_at"] - row["created_at"]).total_seconds() for row in solved
        ),
        ran=Percentiles.of(row["optimization_time"] for row in solved),
    )

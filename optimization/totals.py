"""How many requests ended how, over the whole history, at a cost that does not grow with it.

An ended row never changes. So what is older than a minute is counted once and the sums are kept in
Redis, together with the few rows among them that had not ended yet; asking again counts only these
and what is newer. Sums that are lost, or a day old, are counted anew, in chunks that a statement's
time limit bears.
"""

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone
from pydantic_core import from_json, to_json
from redis.exceptions import RedisError

from marketdata.redis_client import redis_client, redis_key
from optimization.models import ACTIVE, OptimizationRequest

logger = logging.getLogger(__name__)

SETTLED = timedelta(minutes=1)
"""Rows of this age are all there: nobody still commits one with a smaller id."""

STEP_ROWS = 1000
"""Settled rows that are counted over and over until they are so many; then their sums are kept."""

CHUNK_ROWS = 50_000
"""Rows that one statement counts at most."""

KEPT_SECONDS = 86_400
"""How long sums are believed: rows may be deleted behind this module's back."""


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that are counted together.

    Attributes:
        method: By which they are solved.
        status: Where they stand.
        cached: Whether the cache answered them.
    """

    method: str
    status: str
    cached: bool


@dataclass(slots=True)
class Totals:
    """Requests and their solvers' seconds.

    Attributes:
        counts: Requests of each group.
        seconds: From the claim to the end, summed over each group.
    """

    counts: Counter[Group] = field(default_factory=Counter)
    seconds: dict[Group, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, rows: QuerySet[OptimizationRequest]) -> None:
        """Count rows in."""
        grouped = rows.order_by().values("method", "status", "cached")
        for found in grouped.annotate(count=Count("pk"), total=Sum("optimization_time")):
            group = Group(found["method"], found["status"], found["cached"])
            self.counts[group] += found["count"]
            self.seconds[group] += found["total"] or 0.0


@dataclass(slots=True)
class _Counted:
    """What need not be counted again.

    Attributes:
        upto: Greatest id that is counted.
        pending: Ids up to it that are not counted, because they had not ended.
        totals: All others up to it.
    """

    upto: int = 0
    pending: list[int] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def encode(self) -> bytes:
        """As bytes, for Redis."""
        groups = [
            (group.method, group.status, group.cached, count, self.totals.seconds[group])
            for group, count in self.totals.counts.items()
        ]
        return to_json({"upto": self.upto, "pending": self.pending, "groups": groups})

    @classmethod
    def decode(cls, document: bytes) -> "_Counted":
        """What ``encode`` gave."""
        read = from_json(document)
        counted = cls(read["upto"], read["pending"])
        for method, status, cached, count, seconds in read["groups"]:
            group = Group(method, status, cached)
            counted.totals.counts[group], counted.totals.seconds[group] = count, seconds
        return counted

    @property
    def uncounted(self) -> QuerySet[OptimizationRequest]:
        """The rows that are not among the sums."""
        return OptimizationRequest.objects.filter(Q(pk__gt=self.upto) | Q(pk__in=self.pending))

    def advance(self, upto: int) -> None:
        """Count what has ended among the rows up to an id."""
        rows = self.uncounted.filter(pk__lte=upto)
        # First who is active, then the others: who ends in between is counted the next time.
        self.pending = list(rows.filter(status__in=ACTIVE).values_list("pk", flat=True))
        self.totals.add(rows.exclude(pk__in=self.pending))
        self.upto = upto


def request_totals() -> Totals:
    """All requests in the history by group, exact at this moment.

    Raises:
        RedisError: Redis is away.
    """
    counted = _kept()
    settled = _newest_settled()
    if settled < counted.upto:
        # Even the newest row that was counted is gone.
        counted = _Counted()
    while settled - counted.upto >= STEP_ROWS:
        counted.advance(min(settled, counted.upto + CHUNK_ROWS))
        with redis_client().pipeline() as pipe:
            pipe.set(_key(), counted.encode(), keepttl=True)
            pipe.expire(_key(), KEPT_SECONDS, nx=True)
            pipe.execute()
    counted.totals.add(counted.uncounted)
    return counted.totals


def forget_totals(**_signal: Any) -> None:
    """Count anew the next time, because ended rows are deleted in this transaction."""
    transaction.on_commit(_forget)


def _forget() -> None:
    try:
        redis_client().delete(_key())
    except RedisError as error:
        logger.warning("totals count deleted requests for up to a day: %s", error)


def _kept() -> _Counted:
    document: Any = redis_client().get(_key())
    return _Counted() if document is None else _Counted.decode(document)


def _newest_settled() -> int:
    """Id of the newest row that has settled; 0 without one."""
    # By the column that bounds it, so that every database walks that column's index.
    rows = OptimizationRequest.objects.filter(created_at__lt=timezone.now() - SETTLED)
    newest = rows.order_by("-created_at", "-pk").values_list("pk", flat=True).first()
    return newest or 0


def _key() -> str:
    return redis_key("history", "totals")

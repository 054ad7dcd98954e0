"""A frontier as a request: traced by the worker that holds it, and by others when it takes long.

The holder traces the first points and measures how long they take. When the rest would take longer
than ``FRONTIER_SPLIT_SECONDS``, it offers it in chunks and takes chunks itself; others hand in
point after point. The holder tells them in their order, and alone ends the request, under its lease
and fence as any other. A frontier with today's unfinished return stays with one worker, because
another one would see other quotes.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from django.conf import settings
from pydantic_core import from_json, to_json
from redis.exceptions import RedisError

from optimization.engine import FrontierPoint, Problem, frontier_points, frontier_targets
from optimization.engine.errors import EngineError, SolveCancelledError
from optimization.engine.frontier import CHUNK
from optimization.errors import RequestError
from optimization.models import OptimizationRequest, Status
from optimization.parameters import DataParameters
from optimization.queue import admission
from optimization.queue.admission import LeaseState
from optimization.queue.durations import pace
from optimization.queue.lanes import Lane
from optimization.queue.lease import Lease
from optimization.queue.shares import Shares
from optimization.signals import request_point_found
from optimization.solving.problems import MarketProblem, build_problem
from optimization.solving.results import PointRecord, frontier_document

logger = logging.getLogger(__name__)


class _Gathered:
    """Points as they come in from anywhere, told in their order while the lease is held."""

    def __init__(self, request: OptimizationRequest, lease: Lease, count: int) -> None:
        self.points: list[PointRecord | None] = [None] * count
        self._request = request
        self._lease = lease
        self._told = 0

    @property
    def missing(self) -> list[int]:
        """Places without a point."""
        return [index for index, point in enumerate(self.points) if point is None]

    def add(self, points: Iterable[PointRecord]) -> None:
        """Take points in; of two for one place the first counts.

        Raises:
            SolveCancelledError: The request is no longer this process'.
        """
        for point in points:
            if self._lease.state is not LeaseState.HELD:
                raise SolveCancelledError(f"the lease is {self._lease.state}")
            if self.points[point.index] is None:
                self.points[point.index] = point
                self._tell()

    def _tell(self) -> None:
        while self._told < len(self.points) and (point := self.points[self._told]) is not None:
            self._told += 1
            request_point_found.send(sender=OptimizationRequest, request=self._request, point=point)


def trace_frontier(
    request: OptimizationRequest, market: MarketProblem, lease: Lease
) -> dict[str, Any]:
    """Trace the frontier of a claimed request from end to end and tell every point.

    Raises:
        SolveCancelledError: The request is no longer this process'.
        EngineError: See ``optimization.engine.errors``.
    """
    count = DataParameters.of(request.parameters).points
    targets = frontier_targets(market.problem, count, request.parameters)
    gathered = _Gathered(request, lease, count)
    points = _trace(request, market.problem, targets)
    began = time.monotonic()
    gathered.add(islice(points, CHUNK))
    a_point = (time.monotonic() - began) / CHUNK
    helpers = pace.get().processes[Lane(request.lane)] - 1
    is_long = a_point * (count - CHUNK) > settings.FRONTIER_SPLIT_SECONDS
    if is_long and helpers > 0 and market.live is None:
        _share(request, market.problem, targets, gathered, helpers)
    else:
        gathered.add(points)
    return frontier_document(request, market, [p for p in gathered.points if p is not None])


def help_trace(lane: Lane, request_id: str, fence: int) -> None:
    """Trace chunks of somebody else's frontier until none is left or other requests wait."""
    held = {"request_id": request_id, "fence": fence, "status": Status.RUNNING}
    request = OptimizationRequest.objects.filter(**held).first()
    if request is None:
        return
    shares = Shares(lane, request_id, fence)
    try:
        problem = build_problem(request).problem
        while (chunk := shares.take()) is not None:
            for point in _trace_chunk(request, problem, chunk):
                if not shares.give(to_json(asdict(point)).decode()):
                    return
            if admission.lane_load(lane).waiting:
                shares.ask_again()
                return
    except (EngineError, RequestError, ArithmeticError, ValueError) as error:
        logger.warning("%s: left to its holder: %s", request_id, error)


def _share(
    request: OptimizationRequest,
    problem: Problem,
    targets: Sequence[float],
    gathered: _Gathered,
    helpers: int,
) -> None:
    """Trace what is missing together with others; alone when Redis is away."""
    shares = Shares(Lane(request.lane), request.request_id, request.fence)
    chunks = [
        to_json((first, targets[first : first + CHUNK]))
        for first in range(CHUNK, len(targets), CHUNK)
    ]
    try:
        try:
            shares.offer(chunks, min(helpers, len(chunks)))
            while (chunk := shares.take()) is not None:
                for point in _trace_chunk(request, problem, chunk):
                    gathered.add([point, *_handed_in(shares)])
            while missing := gathered.missing:
                # From the far end, towards whoever is still at it.
                for point in _trace_up_to(request, problem, targets, missing[-1]):
                    gathered.add([*_handed_in(shares), point])
                    if gathered.points[missing[-1]] is not None:
                        break
        finally:
            shares.withdraw()
    except RedisError as error:
        logger.warning("%s: its holder goes on alone: %s", request.request_id, error)
        for index in gathered.missing:
            if gathered.points[index] is None:
                last = min(index - index % CHUNK + CHUNK, len(targets)) - 1
                gathered.add(_trace_up_to(request, problem, targets, last))


def _trace_chunk(
    request: OptimizationRequest, problem: Problem, chunk: bytes
) -> Iterator[PointRecord]:
    first, targets = from_json(chunk)
    return _trace(request, problem, targets, first)


def _trace_up_to(
    request: OptimizationRequest, problem: Problem, targets: Sequence[float], last: int
) -> Iterator[PointRecord]:
    """The points up to one from the first of its chunk, which decides what they start from."""
    first = last - last % CHUNK
    return _trace(request, problem, targets[first : last + 1], first)


def _trace(
    request: OptimizationRequest, problem: Problem, targets: Sequence[float], first: int = 0
) -> Iterator[PointRecord]:
    for point in frontier_points(problem, targets, request.parameters):
        yield PointRecord.of(problem.symbols, _placed(point, first))


def _placed(point: FrontierPoint, first: int) -> FrontierPoint:
    return replace(point, index=first + point.index)


def _handed_in(shares: Shares) -> list[PointRecord]:
    return [PointRecord(**from_json(found)) for found in shares.news()]

"""What a worker does with a claimed request: load its window, solve, record, give it up."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone
from redis.client import Pipeline
from redis.exceptions import RedisError
from structlog.contextvars import bound_contextvars

from marketdata.quotes import AskedQuotes, Quote
from marketdata.redis_client import redis_client
from optimization.engine import (
    Method,
    Problem,
    Progress,
    WarmStarts,
    solve,
)
from optimization.engine.errors import EngineError, SolveCancelledError
from optimization.errors import RequestError
from optimization.models import Kind, OptimizationRequest
from optimization.parameters import DataParameters
from optimization.queue import admission
from optimization.queue.admission import Claim, LeaseState
from optimization.queue.durations import Workload, record_duration
from optimization.queue.duty import Duty
from optimization.queue.lanes import Lane
from optimization.queue.lease import Lease, keeper
from optimization.services import request_begin, request_fail, request_succeed
from optimization.signals import request_progressed
from optimization.solving import result_cache
from optimization.solving.frontiers import trace_frontier
from optimization.solving.problems import build_problem
from optimization.solving.results import error_document, result_document
from optimization.tracing import span

logger = logging.getLogger(__name__)

WARM_PROBLEMS = 1000
"""Watched portfolios whose last solution a worker remembers: a few kilobytes each."""

_warm_starts = WarmStarts(WARM_PROBLEMS)

MAX_ATTEMPTS = 3
"""Workers that may die on a request before it is given up."""


def run_lane(lane: Lane, *, stands_by: bool = True) -> None:
    """Run requests of a lane, one after the other, until this process' turn is over."""
    afterwards = redis_client().pipeline(transaction=False)
    with Duty(lane, stands_by=stands_by) as duty, afterwards:
        claim = duty.next(afterwards)
        while claim is not None:
            run_claimed(claim, afterwards)
            claim = duty.next(afterwards, claim)


def run_claimed(claim: Claim, afterwards: Pipeline) -> OptimizationRequest | None:
    """Run a claimed request to its end; None when it has ended meanwhile.

    Args:
        claim: This process' hold on it.
        afterwards: Gets what is of no use to the client that waits: what later requests may use.
    """
    with bound_contextvars(request_id=claim.request_id):
        request = request_begin(claim)
        if request is not None:
            seconds = _limit(request) - _elapsed(request)
            end = partial(end_overdue, request, claim)
            with (
                keeper.hold(claim, seconds, end) as lease,
                span("run", request.traceparent, lane=claim.lane),
            ):
                _run(request, lease, afterwards)
    return request


def end_overdue(request: OptimizationRequest, claim: Claim) -> bool:
    """End a request whose solver does not stop, and give it up; False when it has ended."""
    ended = request_fail(request, _overdue(request))
    if ended:
        admission.finish(claim)
    return ended


def _run(request: OptimizationRequest, lease: Lease, afterwards: Pipeline) -> None:
    exhausted = _exhausted(request)
    if exhausted is not None:
        request_fail(request, exhausted)
        return
    with AskedQuotes(request.symbols) as quotes:
        try:
            with span("solve", method=request.method, assets=len(request.symbols)):
                result = _solve(request, quotes, lease)
        except SolveCancelledError:
            logger.info("%s: solver stopped, lease %s", request.request_id, lease.state)
            if lease.state is LeaseState.OVERDUE:
                request_fail(request, _overdue(request))
        except (EngineError, RequestError) as error:
            request_fail(request, error_document(error.code, error.message, error.fields))
        except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
            logger.exception("%s: the solver failed", request.request_id)
            message = f"the solver failed: {error}"
            request_fail(request, error_document("solver_failure", message))
        else:
            if request_succeed(request, result, _read(quotes) if request.portfolio_id else None):
                _remember(request, result, _read(quotes), afterwards)


def _read(quotes: AskedQuotes) -> dict[str, Quote] | None:
    """What the symbols are quoted at; None while Redis is away, which not every solve needs."""
    try:
        return quotes.read()
    except RedisError as error:
        logger.warning("no quotes to keep the result with: %s", error)
        return None


def _solve(request: OptimizationRequest, quotes: AskedQuotes, lease: Lease) -> dict[str, Any]:
    parameters = DataParameters.of(request.parameters)
    market = build_problem(request, quotes=quotes.read() if parameters.include_live else None)
    if request.kind == Kind.FRONTIER:
        return trace_frontier(request, market, lease)

    def report(progress: Progress) -> None:
        if lease.state is not LeaseState.HELD:
            raise SolveCancelledError(f"the lease is {lease.state}")
        request_progressed.send(sender=OptimizationRequest, request=request, progress=progress)

    if _is_watched(request, market.problem):
        key = json.dumps([request.portfolio_id, *_determinants(request)], sort_keys=True)
        solution = _warm_starts.solve(key, market.problem, request.parameters)
        return result_document(request, market, solution)
    solution = solve(
        market.problem,
        method=Method(request.method),
        rng=parameters.seed,
        parameters=request.parameters,
        on_progress=report,
    )
    return result_document(request, market, solution)


def _is_watched(request: OptimizationRequest, problem: Problem) -> bool:
    """Whether the same problem comes again and again, and the exact path can start warm."""
    return (
        bool(request.portfolio_id)
        and request.method == Method.MEAN_VARIANCE
        and request.parameters.get("solver", "auto") == "auto"
        and problem.constraints.max_assets is None
        and problem.constraints.min_position is None
    )


def _determinants(request: OptimizationRequest) -> list[Any]:
    return [request.symbols, request.objective, request.constraints, request.parameters]


def _remember(
    request: OptimizationRequest,
    result: dict[str, Any],
    quotes: Mapping[str, Quote] | None,
    pipe: Pipeline,
) -> None:
    """What later requests may use: the result, and how long it took."""
    workload = Workload(Method(request.method), len(request.symbols))
    if quotes is not None:
        result_cache.store(request, result, quotes, pipe)
    record_duration(workload, request.optimization_time or 0.0, pipe)


def _exhausted(request: OptimizationRequest) -> dict[str, Any] | None:
    """The error of a request that cost too many workers or too much time, if it did."""
    if _elapsed(request) >= _limit(request):
        return _overdue(request)
    if request.attempt > MAX_ATTEMPTS:
        message = f"{MAX_ATTEMPTS} workers died on it"
        return error_document("worker_lost", message)
    return None


def _limit(request: OptimizationRequest) -> float:
    """Seconds that a request may run, over all of its attempts."""
    return float(settings.HARD_TIME_LIMITS[request.lane])


def _elapsed(request: OptimizationRequest) -> float:
    """Seconds since an earlier attempt began; a clock that was set back says none."""
    if request.attempt == 1 or request.started_at is None:
        return 0.0
    return max(0.0, (timezone.now() - request.started_at).total_seconds())


def _overdue(request: OptimizationRequest) -> dict[str, Any]:
    lane, limit = request.lane, _limit(request)
    message = f"stopped, because the limit of the {lane} lane is {limit:g} s"
    return error_document("time_limit", message)

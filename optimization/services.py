"""Every transition of a request: submitted, begun, ended; nobody else writes its status."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from redis.exceptions import RedisError
from structlog.contextvars import bound_contextvars

from marketdata.quotes import Quote
from optimization import rows
from optimization.engine.problem import Method
from optimization.errors import (
    AlreadyFinishedError,
    IdempotencyConflictError,
    QueueFullError,
    RequestError,
    ServiceUnavailableError,
    UnknownRequestError,
)
from optimization.models import OptimizationRequest, Status, Trigger
from optimization.queue import admission
from optimization.queue.admission import Claim
from optimization.queue.durations import Workload, estimated_wait
from optimization.queue.lanes import LANES, Lane
from optimization.signals import request_finished, request_started
from optimization.solving import result_cache
from optimization.solving.feasibility import check_again
from optimization.submissions import Owner, Submission, constraints_document, new_request_id
from optimization.tracing import record, span, traceparent
from optimization.watching.portfolios import portfolio_take_result

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a caller is told at once.

    Attributes:
        request: The recorded request; already ended when the cache had its result.
        queue_position: 1 for the next to run, 0 when it no longer waits.
        estimated_wait: Seconds until its result.
        repeated: Whether the same idempotency key was submitted before.
    """

    request: OptimizationRequest
    queue_position: int = 0
    estimated_wait: float = 0.0
    repeated: bool = False


def request_submit(submission: Submission) -> Receipt:
    """Check, record and queue a request, or answer it from the cache.

    Raises:
        RequestError: It is refused; nothing is queued and nothing is kept.
    """
    request = _draft(submission)
    attributes = {"method": request.method, "trigger": request.trigger}
    with (
        _backend_errors(),
        log_context(request),
        span("request", request_id=request.request_id, **attributes),
    ):
        request.traceparent = traceparent()
        return _submit(request)


def _submit(request: OptimizationRequest) -> Receipt:
    earlier = _find_earlier(request)
    if earlier is not None:
        return _receipt(earlier, repeated=True)
    request.data_version = check_again(request)
    if request.trigger != Trigger.MANUAL:
        result = result_cache.look_up(request, request.data_version)
        if result is not None:
            return _answer_from_cache(request, result)
    return _enqueue(request)


def log_context(request: OptimizationRequest) -> AbstractContextManager[None]:
    """Until it ends, every line that is logged names the request."""
    return bound_contextvars(request_id=request.request_id, client_id=request.client_id)


def request_cancel(owner: Owner, request_id: str) -> OptimizationRequest:
    """End a request that waits or runs; its worker stops at its next step.

    Raises:
        UnknownRequestError: No such request, or somebody else's.
        AlreadyFinishedError: It has ended.
    """
    with _backend_errors():
        request = OptimizationRequest.objects.filter(owner=owner.key, request_id=request_id).first()
        if request is None:
            raise UnknownRequestError(f"no request {request_id!r} of yours", ["request_id"])
        whereabouts = admission.cancel(Lane(request.lane), request_id)
        if not _end(request, Status.CANCELLED):
            raise AlreadyFinishedError(f"{request_id} has already ended", ["request_id"])
        logger.info("%s cancelled while %s", request_id, whereabouts)
        return request


def request_begin(claim: Claim) -> OptimizationRequest | None:
    """Record that a worker holds a request; None when it has ended meanwhile."""
    request = rows.begin(claim)
    if request is None:
        return None
    if request.attempt == 1 and request.started_at is not None:
        request.begun_at = time.monotonic()
        record("queue", request.traceparent, request.created_at, request.started_at)
        request_started.send(sender=OptimizationRequest, request=request)
    if request.attempt > 1:
        # A first attempt is logged with its end: until it has one, its row says that it runs.
        logger.info("begun, attempt %d", request.attempt)
    return request


def request_succeed(
    request: OptimizationRequest,
    result: dict[str, Any],
    quotes: Mapping[str, Quote] | None = None,
) -> bool:
    """End a running request with its result; False when it has ended meanwhile.

    Args:
        request: What was asked.
        result: Its document.
        quotes: What its symbols were quoted at when it was solved; looked up when left out.
    """
    return _end(request, Status.SUCCEEDED, quotes, result=result)


def request_fail(request: OptimizationRequest, error: dict[str, Any]) -> bool:
    """End a request with an error document; False when it has ended meanwhile."""
    return _end(request, Status.FAILED, error=error)


def request_readmit(request: OptimizationRequest) -> bool:
    """Put an active request that the queue has lost back at the end of its lane."""
    lane = Lane(request.lane)
    try:
        admission.admit(lane, request.request_id)
    except QueueFullError:
        return False
    logger.warning("%s was lost by the queue and waits again", request.request_id)
    return True


def _draft(submission: Submission) -> OptimizationRequest:
    return OptimizationRequest(
        request_id=new_request_id(submission.client_id),
        owner=submission.owner.key,
        user_id=submission.owner.user_id,
        client_id=submission.client_id,
        idempotency_key=submission.idempotency_key,
        portfolio_id=submission.portfolio_id,
        kind=submission.kind.value,
        method=submission.method.value,
        objective=submission.objective.value,
        trigger=submission.trigger.value,
        lane=LANES[submission.method].value,
        symbols=list(submission.symbols),
        constraints=constraints_document(submission.constraints),
        parameters=dict(submission.parameters),
        metadata=dict(submission.metadata),
        created_at=timezone.now(),
    )


def _find_earlier(draft: OptimizationRequest) -> OptimizationRequest | None:
    """The request that the same owner submitted before under the same key."""
    if draft.idempotency_key is None:
        return None
    earlier = OptimizationRequest.objects.filter(
        owner=draft.owner, idempotency_key=draft.idempotency_key
    ).first()
    if earlier is None:
        return None
    compared = ("kind", "method", "objective", "trigger", "symbols", "constraints", "parameters")
    differing = [name for name in compared if getattr(earlier, name) != getattr(draft, name)]
    if differing:
        raise IdempotencyConflictError(
            f"request_id {draft.idempotency_key!r} was used before for a request with another"
            f" {differing[0]}; choose a new request_id",
            ["request_id", *differing],
        )
    return earlier


def _answer_from_cache(request: OptimizationRequest, result: dict[str, Any]) -> Receipt:
    request.status, request.cached = Status.SUCCEEDED, True
    request.started_at = request.finished_at = timezone.now()
    request.optimization_time = 0.0
    request.result = {
        **result,
        "metadata": {**result["metadata"], "request_metadata": request.metadata},
    }
    earlier = _insert(request)
    if earlier is not None:
        return _receipt(earlier, repeated=True)
    portfolio_take_result(request)
    logger.info("answered from the cache: %s", request.method)
    request_finished.send(sender=OptimizationRequest, request=request)
    return Receipt(request)


def _enqueue(request: OptimizationRequest) -> Receipt:
    """Record first, admit second: a worker that claims the request finds its row."""
    lane = Lane(request.lane)
    admission.check_room()
    earlier = _insert(request)
    if earlier is not None:
        return _receipt(earlier, repeated=True)
    try:
        position = admission.admit(lane, request.request_id)
    except (QueueFullError, RedisError):
        if _withdraw(request):
            raise
        # The answer of Redis was lost, and a worker has it already.
        request.refresh_from_db()
        return _receipt(request, repeated=True)
    logger.info("admitted to the %s lane, place %d: %s", lane, position, request.method)
    return Receipt(request, position, _estimated_wait(request, position))


def _withdraw(request: OptimizationRequest) -> bool:
    """Forget a request that was not admitted; False when a worker has begun it all the same."""
    untouched = OptimizationRequest.objects.filter(pk=request.pk, status=Status.QUEUED, attempt=0)
    deleted, _ = untouched.delete()
    return bool(deleted)


def _insert(request: OptimizationRequest) -> OptimizationRequest | None:
    """Record a request, or find the one that took its idempotency key a moment before."""
    try:
        rows.insert(request)
    except IntegrityError:
        earlier = _find_earlier(request)
        if earlier is None:
            raise
        return earlier
    return None


def _estimated_wait(request: OptimizationRequest, position: int) -> float:
    """The wait, or 0 when Redis went away: the request is admitted and must not look refused."""
    try:
        return estimated_wait(_workload(request), position)
    except RedisError as error:
        logger.warning("%s: no estimate of its wait: %s", request.request_id, error)
        return 0.0


def _receipt(request: OptimizationRequest, *, repeated: bool) -> Receipt:
    if request.is_terminal:
        return Receipt(request, repeated=repeated)
    position = admission.position(Lane(request.lane), request.request_id) or 0
    wait = _estimated_wait(request, max(1, position))
    return Receipt(request, position, wait, repeated)


def _workload(request: OptimizationRequest) -> Workload:
    return Workload(Method(request.method), len(request.symbols))


def _end(
    request: OptimizationRequest,
    status: Status,
    quotes: Mapping[str, Quote] | None = None,
    **documents: Any,
) -> bool:
    """The only way to a terminal state: one conditional update decides who ended the request."""
    now = timezone.now()
    seconds = _seconds_run(request, now)
    changes = {"status": status, "finished_at": now, "optimization_time": seconds, **documents}
    fence = None if status is Status.CANCELLED else request.fence or None
    # One statement is a transaction of its own; only a portfolio needs one around two.
    with transaction.atomic() if request.portfolio_id else nullcontext():
        if not rows.end(request.pk, changes, fence):
            return False
        for name, value in changes.items():
            setattr(request, name, value)
        portfolio_take_result(request, quotes)
    # Who waits comes first, the log second.
    request_finished.send(sender=OptimizationRequest, request=request)
    logger.info("ended: %s, attempt %d", status, request.attempt)
    return True


def _seconds_run(request: OptimizationRequest, now: datetime) -> float | None:
    """Seconds since a worker began; whoever did so itself asks no clock that may be set anew."""
    if request.started_at is None:
        return None
    if request.begun_at is not None:
        return time.monotonic() - request.begun_at
    return max(0.0, (now - request.started_at).total_seconds())


@contextmanager
def _backend_errors() -> Iterator[None]:
    """Turn an unreachable Redis or database into the answer that clients know."""
    try:
        yield
    except RequestError:
        raise
    except (RedisError, DatabaseError) as error:
        logger.exception("a backend cannot be reached")
        raise ServiceUnavailableError(
            f"the server cannot reach one of its backends ({type(error).__name__}); retry later"
        ) from error

"""One problem by several methods on the workers: a request for each, side by side.

Each method is admitted to its own lane like any request, so that the exact answer never waits for a
circuit, every run has its lane's time limit, and a worker that dies is succeeded by another.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from optimization.errors import AlreadyFinishedError, RequestError, ServiceUnavailableError
from optimization.models import TERMINAL, OptimizationRequest, Status
from optimization.queue import workers
from optimization.queue.lanes import LANES
from optimization.services import request_cancel, request_submit
from optimization.solving.results import error_document
from optimization.submissions import Submission

LOOK_SECONDS = 0.05
"""Between two looks at the rows."""

Outcome = dict[str, Any]
"""``method`` with either the worker's ``result`` or the ``error``."""


def refused(method: str, error: RequestError) -> Outcome:
    """The outcome of a request that was not taken."""
    return {"method": method, "error": error_document(error.code, error.message, error.fields)}


def compare_on_workers(
    submissions: Sequence[Submission],
    on_end: Callable[[], None],
    wait: Callable[[], None] = lambda: time.sleep(LOOK_SECONDS),
) -> list[Outcome]:
    """Have workers run submissions at the same time; whatever interrupts it cancels the rest.

    Args:
        submissions: What to run.
        on_end: Called at each end and each refusal.
        wait: Called between two looks at the rows.

    Returns:
        Outcomes in the order of the submissions.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: dict[str, int] = {}
    try:
        for place, submission in enumerate(submissions):
            try:
                waiting[_submit(submission)] = place
            except RequestError as error:
                outcomes[place] = refused(submission.method.value, error)
                on_end()
        while waiting:
            for row in _ended(list(waiting)):
                outcomes[waiting.pop(row.request_id)] = _outcome(row)
                on_end()
            if waiting:
                wait()
    finally:
        for request_id, place in waiting.items():
            with suppress(AlreadyFinishedError):
                request_cancel(submissions[place].owner, request_id)
    return [outcomes[place] for place in range(len(submissions))]


def _submit(submission: Submission) -> str:
    lane = LANES[submission.method]
    if not workers.live_processes(lane):
        raise ServiceUnavailableError(
            f"no worker of the {lane} lane lives; start the server, or compare without it"
        )
    return request_submit(submission).request.request_id


def _ended(request_ids: list[str]) -> list[OptimizationRequest]:
    rows = OptimizationRequest.objects.filter(request_id__in=request_ids, status__in=TERMINAL)
    return list(rows)


def _outcome(row: OptimizationRequest) -> Outcome:
    if row.status == Status.SUCCEEDED:
        return {"method": row.method, "result": row.result}
    cancelled = error_document("cancelled", "somebody cancelled it")
    return {"method": row.method, "error": row.error or cancelled}

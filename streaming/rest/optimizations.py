"""Requests over REST: submit, list, read, cancel."""

from datetime import UTC, datetime
from typing import Annotated, Any

from django.db.models import F, QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import to_json
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from optimization import services
from optimization.engine.problem import Method, Objective
from optimization.errors import IdempotencyConflictError, UnknownRequestError
from optimization.models import Kind, OptimizationRequest, Status, Trigger
from optimization.queue import admission
from optimization.queue.durations import Workload, estimated_wait
from optimization.queue.lanes import Lane
from optimization.submissions import Owner, Submission
from streaming.decoding import FrameError, Message, decode
from streaming.frames import terminal_frame
from streaming.latest_progress import recall
from streaming.orders import submission_of
from streaming.protocol import (
    ClientMessage,
    ErrorCode,
    ErrorData,
    FrontierRequestData,
    FrontierResultData,
    OptimizationProgressData,
    OptimizationRequestData,
    OptimizationResultData,
)
from streaming.rest.base import (
    QueryModel,
    RestView,
    body_object,
    document_response,
    query_parameters,
    read_query,
)

REST_CLIENT = "rest"
"""The client id of requests that come through this API."""

IDEMPOTENCY_HEADER = "Idempotency-Key"

IDEMPOTENCY_PARAMETER = OpenApiParameter(
    IDEMPOTENCY_HEADER,
    {"type": "string", "minLength": 1, "maxLength": 100},
    OpenApiParameter.HEADER,
    description="The caller's own name for the request; one name never runs twice.",
)

Text = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


class OptimizationSummary(BaseModel):
    """One request in a list."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    request_id: str
    kind: Kind
    status: Status
    method: Method
    objective: Objective
    trigger: Trigger
    lane: Lane
    symbols: list[str]
    cached: bool
    """Whether the cache answered it."""
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    optimization_time: float | None
    """Seconds from the worker's claim to the end."""
    metrics: dict[str, float | None] | None
    """The result's metrics, once there is one."""


class OptimizationPage(BaseModel):
    """A page of requests, the newest first."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    results: list[OptimizationSummary]
    next: str | None
    """Address of the next page, or null on the last one."""


class OptimizationDocument(BaseModel):
    """One request with everything that is known of it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    request_id: str
    kind: Kind
    status: Status
    method: Method
    objective: Objective
    trigger: Trigger
    lane: Lane
    symbols: list[str]
    constraints: dict[str, Any]
    parameters: dict[str, Any]
    metadata: dict[str, Any]
    """The client's own notes."""
    cached: bool
    """Whether the cache answered it."""
    idempotency_key: str | None
    data_version: str
    attempt: int
    """Workers that have taken it up."""
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    optimization_time: float | None
    """Seconds from the worker's claim to the end."""
    queue_position: int
    """1 for the next to run, 0 when it does not wait."""
    estimated_wait: float | None
    """Seconds until its result while it waits, from measured durations."""
    progress: OptimizationProgressData | None
    """The newest report of the running solver."""
    result: OptimizationResultData | FrontierResultData | None
    error: ErrorData | None


def _in_utc(moment: datetime) -> datetime:
    """The same moment in UTC: PostgreSQL knows no offset of sixteen hours and more."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("in UTC it lies outside the years 1 to 9999") from error


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class FrontierFilter(QueryModel):
    """What a list of frontiers is narrowed to."""

    status: Status | None = None
    method: Method | None = None
    objective: Objective | None = None
    trigger: Trigger | None = None
    symbol: Text | None = None
    """Requests over this symbol, among others."""
    search: Text | None = None
    """Part of a request id or of a symbol."""
    created_after: Moment | None = None
    created_before: Moment | None = None
    limit: int = Field(50, ge=1, le=200)
    """Requests on a page."""
    before: int | None = Field(None, ge=1, lt=2**63)
    """Place where a page begins; taken from ``next``."""


class OptimizationFilter(FrontierFilter):
    """What a list is narrowed to."""

    kind: Kind | None = None


ERRORS = {
    status: OpenApiResponse(ErrorData, description=description)
    for status, description in {
        400: "The body, a header or the query is malformed.",
        401: "Nobody is signed in, and local mode is off.",
        403: "The origin or the CSRF token is not right.",
        404: "No such request, or somebody else's.",
        409: "The request has ended, or the key was used for another one.",
        413: "The body is too large.",
        415: "The body is not application/json.",
        422: "The content is refused; `fields` says what to change.",
        503: "The queue is full or a backend is away; retry later.",
    }.items()
}


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """The documented errors of an operation."""
    return {status: ERRORS[status] for status in (401, 503, *statuses)}


class OptimizationsView(RestView):
    """The requests of whoever asks."""

    @extend_schema(
        operation_id="optimizations_list",
        parameters=query_parameters(OptimizationFilter),
        responses={200: OptimizationPage, **errors(422)},
    )
    def get(self, request: Request) -> Response:
        """List requests, the newest first."""
        return self.page(request, read_query(request, OptimizationFilter))

    def page(self, request: Request, wanted: OptimizationFilter) -> Response:
        """Answer with a page of what is wanted."""
        rows = list(_filtered(self.owner(request), wanted)[: wanted.limit + 1])
        page, following = rows[: wanted.limit], None
        if len(rows) > wanted.limit:
            query = request.query_params.copy()
            query["before"] = str(page[-1].pk)
            following = request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
        summaries = [_summary(row) for row in page]
        return document_response(OptimizationPage(results=summaries, next=following))

    @extend_schema(
        operation_id="optimizations_submit",
        request=OptimizationRequestData,
        parameters=[IDEMPOTENCY_PARAMETER],
        responses={
            202: OpenApiResponse(OptimizationDocument, description="Queued."),
            200: OpenApiResponse(
                OptimizationDocument, description="Answered from the cache, or submitted before."
            ),
            **errors(400, 403, 409, 413, 415, 422),
        },
    )
    def post(self, request: Request) -> Response:
        """Submit a request; the body is the `data` of the wire's `optimization_request`."""
        return self.submit(request, ClientMessage.OPTIMIZATION_REQUEST)

    def submit(self, request: Request, kind: ClientMessage) -> Response:
        """Submit the body as the data of a wire message."""
        message = _message(request, kind)
        receipt = _submit(submission_of(self.owner(request), REST_CLIENT, message))
        row = receipt.request
        address = reverse("optimization", args=[row.request_id], request=request)
        queued = not (receipt.repeated or row.is_terminal)
        return document_response(
            optimization_document(row), status=202 if queued else 200, Location=address
        )


class FrontierView(OptimizationsView):
    """Efficient frontiers; each is a request like any other and is read as one."""

    @extend_schema(
        operation_id="frontier_list",
        parameters=query_parameters(FrontierFilter),
        responses={200: OptimizationPage, **errors(422)},
    )
    def get(self, request: Request) -> Response:
        """List frontiers, the newest first; each is read as any other request is."""
        wanted = read_query(request, FrontierFilter).model_dump()
        return self.page(request, OptimizationFilter(**wanted, kind=Kind.FRONTIER))

    @extend_schema(
        operation_id="frontier_submit",
        request=FrontierRequestData,
        parameters=[IDEMPOTENCY_PARAMETER],
        responses={
            202: OpenApiResponse(OptimizationDocument, description="Queued."),
            200: OpenApiResponse(
                OptimizationDocument, description="Answered from the cache, or submitted before."
            ),
            **errors(400, 403, 409, 413, 415, 422),
        },
    )
    def post(self, request: Request) -> Response:
        """Submit a frontier; the body is the `data` of the wire's `frontier_request`."""
        return self.submit(request, ClientMessage.FRONTIER_REQUEST)


class OptimizationView(RestView):
    """One request."""

    @extend_schema(
        operation_id="optimizations_read",
        responses={200: OptimizationDocument, **errors(404)},
    )
    def get(self, request: Request, request_id: str) -> Response:
        """Read a request: its place in the queue, its progress, its result or its error."""
        return document_response(optimization_document(_own(self.owner(request), request_id)))


class OptimizationCancelView(RestView):
    """The end of one request."""

    @extend_schema(
        operation_id="optimizations_cancel",
        request=None,
        responses={200: OptimizationDocument, **errors(403, 404, 409)},
    )
    def post(self, request: Request, request_id: str) -> Response:
        """Cancel a request that waits or runs."""
        row = services.request_cancel(self.owner(request), request_id)
        return document_response(optimization_document(row))


def optimization_document(row: OptimizationRequest) -> OptimizationDocument:
    """Everything that is known of a request now."""
    waits, runs = row.status == Status.QUEUED, row.status == Status.RUNNING
    position = (admission.position(Lane(row.lane), row.request_id) or 0) if waits else 0
    workload = Workload(Method(row.method), len(row.symbols))
    ended = terminal_frame(row)["data"] if row.is_terminal else None
    return OptimizationDocument(
        **{name: getattr(row, name) for name in _ROW_FIELDS},
        queue_position=position,
        estimated_wait=estimated_wait(workload, max(1, position)) if waits else None,
        progress=recall(row.request_id) if runs else None,
        result=ended if row.status == Status.SUCCEEDED else None,
        error=ended if row.status == Status.FAILED else None,
    )


_ROW_FIELDS = tuple(
    name
    for name in OptimizationDocument.model_fields
    if name not in {"queue_position", "estimated_wait", "progress", "result", "error"}
)
_SUMMARY_FIELDS = tuple(name for name in OptimizationSummary.model_fields if name != "metrics")


def _summary(row: OptimizationRequest) -> OptimizationSummary:
    fields = {name: getattr(row, name) for name in _SUMMARY_FIELDS}
    return OptimizationSummary(**fields, metrics=getattr(row, "result_metrics", None))


def _filtered(owner: Owner, wanted: OptimizationFilter) -> QuerySet[OptimizationRequest]:
    rows = OptimizationRequest.objects.filter(owner=owner.key)
    for name in ("kind", "status", "method", "objective", "trigger"):
        value = getattr(wanted, name)
        if value is not None:
            rows = rows.filter(**{name: value})
    bounds: dict[str, int | datetime | str | None] = {
        "pk__lt": wanted.before,
        "created_at__gte": wanted.created_after,
        "created_at__lt": wanted.created_before,
        # A symbol in a JSON list stands between quotation marks.
        "symbols__icontains": f'"{wanted.symbol}"' if wanted.symbol else None,
    }
    rows = rows.filter(**{name: value for name, value in bounds.items() if value is not None})
    if wanted.search:
        found = rows.filter(request_id__icontains=wanted.search)
        rows = found | rows.filter(symbols__icontains=wanted.search)
    # The weights of a thousand symbols stay in the database.
    return rows.only(*_SUMMARY_FIELDS).annotate(result_metrics=F("result__metrics"))


def _own(owner: Owner, request_id: str) -> OptimizationRequest:
    row = OptimizationRequest.objects.filter(owner=owner.key, request_id=request_id).first()
    if row is None:
        raise UnknownRequestError(f"no request {request_id!r} of yours", ["request_id"])
    return row


def _message(request: Request, kind: ClientMessage) -> Message:
    """The body as the wire's own message, checked by the wire's own rules."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is not None and not (1 <= len(key) <= 100 and key.isprintable()):
        raise FrameError(
            ErrorCode.INVALID_MESSAGE,
            f"{IDEMPOTENCY_HEADER} must have 1 to 100 printable characters",
            [IDEMPOTENCY_HEADER],
        )
    envelope: dict[str, Any] = {"type": kind}
    envelope["data"] = body_object(request)
    if key is not None:
        envelope["request_id"] = key
    return decode(to_json(envelope).decode())


def _submit(submission: Submission) -> services.Receipt:
    try:
        return services.request_submit(submission)
    except IdempotencyConflictError as error:
        fields = [IDEMPOTENCY_HEADER if f == "request_id" else f for f in error.fields]
        message = error.message.replace("request_id", IDEMPOTENCY_HEADER)
        raise IdempotencyConflictError(message, fields) from error

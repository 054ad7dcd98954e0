"""The wire: every frame in and out, every error, every close code.

A frame is a JSON object ``{"type": …, "data": {…}}``. Unknown keys of the envelope are ignored,
unknown fields inside ``data`` are refused. The AsyncAPI document and the dashboard's TypeScript
types are generated from this file.
"""

import time
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from optimization.engine.constraints import Constraints
from optimization.engine.problem import Method, Objective
from optimization.models import Trigger
from optimization.watching.rules import Rule

SUBPROTOCOL = "quantumedge.v1"

Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9^][A-Za-z0-9.^=_/-]{0,31}$")]
RequestId = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Topic(StrEnum):
    """What a client may subscribe to; ``price_updates:AAPL`` narrows a topic to one subject."""

    PORTFOLIO_UPDATES = "portfolio_updates"
    PRICE_UPDATES = "price_updates"
    RISK_ALERTS = "risk_alerts"


class CloseCode(IntEnum):
    """Why the server closed a connection; below 4500 a client should not reconnect by itself."""

    UNAUTHENTICATED = 4401
    """No valid credentials came in time."""
    FORBIDDEN_ORIGIN = 4403
    """The page's origin is not allowed to open a connection."""
    TOO_MANY_CONNECTIONS = 4429
    """The user holds as many connections as the server allows."""
    TOO_MANY_MESSAGES = 4430
    """The client kept sending faster than the limit after it was told so."""
    SERVER_RESTART = 4500
    """The server restarts; reconnect and resume."""
    SLOW_CONSUMER = 4508
    """The client did not read; its outbox is full."""
    INTERNAL_ERROR = 4511
    """A defect of ours ended the connection; reconnect and resume."""


class ErrorCode(StrEnum):
    """The machine-readable reason of an error frame."""

    INVALID_MESSAGE = "invalid_message"
    UNKNOWN_TYPE = "unknown_type"
    MESSAGE_TOO_LARGE = "message_too_large"
    RATE_LIMITED = "rate_limited"
    INVALID_REQUEST = "invalid_request"
    INVALID_PROBLEM = "invalid_problem"
    INFEASIBLE = "infeasible"
    NO_EXCESS_RETURN = "no_excess_return"
    UNBOUNDED = "unbounded"
    UNSUPPORTED = "unsupported"
    METHOD_UNAVAILABLE = "method_unavailable"
    MARKET_DATA_UNAVAILABLE = "market_data_unavailable"
    UNKNOWN_SYMBOL = "unknown_symbol"
    QUEUE_FULL = "queue_full"
    SERVICE_UNAVAILABLE = "service_unavailable"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    UNKNOWN_REQUEST = "unknown_request"
    UNKNOWN_PORTFOLIO = "unknown_portfolio"
    ALREADY_FINISHED = "already_finished"
    UNKNOWN_TOPIC = "unknown_topic"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    SOLVER_FAILURE = "solver_failure"
    TIME_LIMIT = "time_limit"
    WORKER_LOST = "worker_lost"
    CANCELLED = "cancelled"
    ENGINE_ERROR = "engine_error"


SENTENCES: Mapping[ErrorCode, str] = {
    ErrorCode.INVALID_MESSAGE: "Invalid message",
    ErrorCode.UNKNOWN_TYPE: "Unknown message type",
    ErrorCode.MESSAGE_TOO_LARGE: "Message too large",
    ErrorCode.RATE_LIMITED: "Too many messages",
    ErrorCode.INVALID_REQUEST: "Invalid optimization request",
    ErrorCode.INVALID_PROBLEM: "Invalid optimization request",
    ErrorCode.INFEASIBLE: "Invalid optimization request",
    ErrorCode.NO_EXCESS_RETURN: "Invalid optimization request",
    ErrorCode.UNBOUNDED: "Invalid optimization request",
    ErrorCode.UNSUPPORTED: "Invalid optimization request",
    ErrorCode.METHOD_UNAVAILABLE: "Invalid optimization request",
    ErrorCode.MARKET_DATA_UNAVAILABLE: "Unable to retrieve market data",
    ErrorCode.UNKNOWN_SYMBOL: "Unable to retrieve market data",
    ErrorCode.QUEUE_FULL: "Optimization queue full",
    ErrorCode.SERVICE_UNAVAILABLE: "Optimization service not available",
    ErrorCode.IDEMPOTENCY_CONFLICT: "Invalid optimization request",
    ErrorCode.UNKNOWN_REQUEST: "Unknown request",
    ErrorCode.UNKNOWN_PORTFOLIO: "Unknown portfolio",
    ErrorCode.ALREADY_FINISHED: "Request already finished",
    ErrorCode.UNKNOWN_TOPIC: "Unknown topic",
    ErrorCode.UNAUTHENTICATED: "Not signed in",
    ErrorCode.FORBIDDEN: "Not allowed",
    ErrorCode.SOLVER_FAILURE: "Optimization failed",
    ErrorCode.TIME_LIMIT: "Optimization failed",
    ErrorCode.WORKER_LOST: "Optimization failed",
    ErrorCode.CANCELLED: "Optimization cancelled",
    ErrorCode.ENGINE_ERROR: "Optimization failed",
}
"""The ``error`` sentence of each code; the spec's own four where one fits."""

RETRYABLE = frozenset(
    {
        ErrorCode.RATE_LIMITED,
        ErrorCode.QUEUE_FULL,
        ErrorCode.SERVICE_UNAVAILABLE,
        ErrorCode.WORKER_LOST,
    }
)
"""Codes after which the same frame may succeed later."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class OptimizationParameters(_Data):
    """Settings of the data and of the method; those that the method does not know are refused."""

    lookback: int | None = Field(None, ge=2, le=100_000)
    """Daily returns in the window; ``DEFAULT_LOOKBACK`` unless set."""
    include_live: bool | None = None
    """Add today's unfinished return, from the newest quotes, as the last row."""
    risk_free_rate: float | None = Field(None, ge=-1, le=10)
    """Yearly, as a fraction; 0 unless set."""
    covariance: Literal["sample", "ledoit_wolf"] | None = None
    """Estimator of the covariance matrix."""
    solver: Literal["auto", "general"] | None = None
    """Of mean_variance: ``general`` lets CVXPY solve what a fast path would, as a cross-check."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Seed of the method's random generator; 0 unless set."""
    risk_aversion: float | None = Field(None, gt=0)
    """λ of maximize_utility: μ'w − λ/2 · w'Σw, on yearly moments."""
    time_limit: float | None = Field(None, gt=0, le=600)
    """Seconds after which the method stops with its best portfolio so far."""
    iterations: int | None = Field(None, ge=1, le=1_000_000)
    """Generations or steps of a heuristic; optimiser iterations of a quantum method."""
    evaluations: int | None = Field(None, ge=1, le=1_000_000_000)
    """Portfolios that a heuristic may look at."""
    population: int | None = Field(None, ge=2, le=100_000)
    """Portfolios that a heuristic keeps at once."""
    target_gap: float | None = Field(None, ge=0, le=1)
    """Certified relative gap at which a method may stop."""
    device: str | None = Field(None, min_length=1, max_length=64)
    """PennyLane device of a quantum method, by name."""
    shots: int | None = Field(None, ge=1, le=10_000_000)
    """Samples per circuit; exact probabilities unless set."""
    layers: int | None = Field(None, ge=1, le=50)
    """Layers of the quantum circuit."""
    noise: float | None = Field(None, ge=0, lt=1)
    """Probability of a Pauli error per gate."""
    trajectories: int | None = Field(None, ge=1, le=1000)
    """Noisy circuits that the shots of a quantum method are spread over."""
    qubits: int | None = Field(None, ge=4, le=30)
    """Largest number of qubits of one circuit."""
    rounds: int | None = Field(None, ge=1, le=1000)
    """Largest number of refinement rounds of a quantum method."""
    alpha: float | None = Field(None, gt=0, le=1)
    """Share of the best samples that a quantum method optimises its angles for."""
    risk_budgets: dict[Symbol, Annotated[float, Field(gt=0)]] | None = None
    """Share of the risk that each symbol may take, for risk_parity; equal unless set."""


class OptimizationRequestData(_Data):
    """Asks for an optimisation."""

    symbols: list[Symbol] = Field(min_length=1)
    """Assets to optimise over."""
    objective: Objective = Objective.MAXIMIZE_SHARPE
    """What to optimise."""
    constraints: Constraints = Field(default_factory=Constraints)
    """What to satisfy."""
    method: Method = Method.MEAN_VARIANCE
    """How to solve."""
    trigger: Trigger = Trigger.MANUAL
    """What asks for it; automatic triggers may be answered from the cache."""
    parameters: OptimizationParameters = Field(default_factory=OptimizationParameters)
    """Settings of the data and of the method."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """The client's own notes, returned with the result."""


class FrontierRequestData(_Data):
    """Asks for an efficient frontier: the least risk for every expected return."""

    symbols: list[Symbol] = Field(min_length=1)
    """Assets to optimise over."""
    objective: Objective = Objective.MINIMIZE_VARIANCE
    """The risk: variance, CVaR, mean absolute deviation, CDaR or drawdown; else the variance."""
    constraints: Constraints = Field(default_factory=Constraints)
    """What every point has to satisfy."""
    points: int = Field(20, ge=2, le=200)
    """How many, evenly spaced in expected return."""
    trigger: Trigger = Trigger.MANUAL
    parameters: OptimizationParameters = Field(default_factory=OptimizationParameters)
    metadata: dict[str, Any] = Field(default_factory=dict)
    """The client's own notes, returned with the result."""


class CancelData(_Data):
    """Cancels a request."""

    request_id: RequestId
    """The server's id of the request."""


class WatchData(_Data):
    """Asks to watch a portfolio and to optimise it again whenever one of its triggers fires."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "Portfolio"
    """What people call it."""
    symbols: list[Symbol] = Field(min_length=1)
    """What it holds or may hold."""
    holdings: dict[Symbol, Annotated[float, Field(ge=-1e12, le=1e12)]] | None = None
    """Shares per symbol; kept until the portfolio is watched anew."""
    weights: dict[Symbol, Annotated[float, Field(ge=-100, le=100)]] | None = None
    """Or weights of a paper portfolio, which is rebalanced to every result; equal unless set."""
    objective: Objective = Objective.MAXIMIZE_SHARPE
    constraints: Constraints = Field(default_factory=Constraints)
    method: Method = Method.MEAN_VARIANCE
    parameters: OptimizationParameters = Field(default_factory=OptimizationParameters)
    triggers: list[Rule] = Field(default_factory=list, max_length=20)
    """What makes it be optimised again; a price_change of 1 % unless set."""


class UnwatchData(_Data):
    """Asks to watch a portfolio no longer."""

    portfolio_id: Annotated[str, StringConstraints(min_length=1, max_length=40)]


TopicName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
"""A topic, or a topic narrowed to one subject: ``price_updates:AAPL``."""


class TopicData(_Data):
    """Names a topic."""

    topic: TopicName
    """A topic, or a topic narrowed to one subject: ``price_updates:AAPL``."""


class HeartbeatData(_Data):
    """Says that the client lives."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    status: str = "alive"


class ResumeData(_Data):
    """Asks for what was missed since a lost connection."""

    epoch: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """The epoch of the lost connection's frames."""
    seq: int = Field(ge=0, lt=2**63)
    """The last sequence number that the client has seen."""
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """The client id of the lost connection."""
    topics: Annotated[list[TopicName], Field(max_length=100)] = Field(default_factory=list)
    """Topics to subscribe to as of ``seq``: their news come in order, after what was missed."""


class AuthData(_Data):
    """Signs a program in; the first message where the handshake carried no credentials."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """An API token."""


class ClientMessage(StrEnum):
    """Types of frames that a client may send."""

    AUTH = "auth"

    OPTIMIZATION_REQUEST = "optimization_request"
    FRONTIER_REQUEST = "frontier_request"
    OPTIMIZATION_CANCEL = "optimization_cancel"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    HEARTBEAT = "heartbeat"
    RESUME = "resume"
    WATCH = "watch"
    UNWATCH = "unwatch"


CLIENT_DATA: Mapping[ClientMessage, type[BaseModel]] = {
    ClientMessage.AUTH: AuthData,
    ClientMessage.OPTIMIZATION_REQUEST: OptimizationRequestData,
    ClientMessage.FRONTIER_REQUEST: FrontierRequestData,
    ClientMessage.OPTIMIZATION_CANCEL: CancelData,
    ClientMessage.SUBSCRIBE: TopicData,
    ClientMessage.UNSUBSCRIBE: TopicData,
    ClientMessage.HEARTBEAT: HeartbeatData,
    ClientMessage.RESUME: ResumeData,
    ClientMessage.WATCH: WatchData,
    ClientMessage.UNWATCH: UnwatchData,
}
"""The shape of ``data`` for each type of client frame."""


class ServerMessage(StrEnum):
    """Types of frames that the server sends."""

    AUTH = "auth"
    CONNECTION_STATUS = "connection_status"
    PORTFOLIO_UPDATE = "portfolio_update"
    PRICE_UPDATE = "price_update"
    RISK_ALERT = "risk_alert"
    FEED_STATUS = "feed_status"
    WATCH = "watch"
    UNWATCH = "unwatch"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    HEARTBEAT = "heartbeat"
    RESUME = "resume"
    ERROR = "error"


class Limits(_Data):
    """Bounds that the server enforces, so that a client can stay within them."""

    max_symbols: int
    max_message_bytes: int
    max_messages_per_second: int
    max_queue_size: int


class AuthenticatedData(_Data):
    """Confirms that a program is signed in; ``connection_status`` follows."""

    status: Literal["authenticated"] = "authenticated"
    user: str
    scope: Literal["read", "trade"]
    expires_at: str | None
    """ISO 8601, UTC: when the token ends and the connection with it; null for never."""


class ConnectionStatusData(_Data):
    """Greets a client."""

    status: Literal["connected"]
    client_id: str
    server_time: str
    """ISO 8601, UTC."""
    epoch: str
    """Names the run of sequence numbers; a client that resumes sends it back."""
    seq: int
    """Newest sequence number at the moment of connecting."""
    user: str | None
    """The signed-in user's name, or null in local mode."""
    methods: list[Method]
    """Methods that this server can run."""
    objectives: list[Objective]
    limits: Limits


class OptimizationQueuedData(_Data):
    """Acknowledges a request that was admitted."""

    type: Literal["optimization_queued"] = "optimization_queued"
    request_id: str
    queue_position: int
    """1 for the next to run."""
    estimated_wait: float
    """Seconds until the result, from measured durations."""
    lane: str
    """The queue it waits in."""


class OptimizationStartedData(_Data):
    """Says that a worker has begun."""

    type: Literal["optimization_started"] = "optimization_started"
    request_id: str
    client_id: str
    method: Method


class OptimizationProgressData(_Data):
    """Reports a running solver's best portfolio."""

    type: Literal["optimization_progress"] = "optimization_progress"
    request_id: str
    client_id: str
    iteration: int
    evaluations: int
    best_value: float
    """Value of the objective."""
    bound: float | None
    """Certified bound on the objective."""
    gap: float | None
    """Relative gap of ``best_value`` to ``bound``."""
    elapsed: float
    """Seconds since the solver began."""


class ResultMetadata(BaseModel):
    """What a result stands on; methods add facts of their own."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    objective: Objective
    constraints: dict[str, Any]
    method: Method
    parameters: dict[str, Any]
    request_metadata: dict[str, Any]
    """The client's own notes."""
    solver: str
    solve_time: float
    """Seconds in the solver."""
    optimality_gap: float | None
    """Certified relative distance to the optimum; null where no bound exists."""
    max_violation: float
    """Largest violation of any constraint."""
    binding_constraints: list[dict[str, Any]]
    """Constraints that hold the optimum back, with shadow prices."""
    risk_contributions: dict[str, float] | None
    """Share of the portfolio's variance per symbol."""
    covariance: str
    seed: int
    data_version: str
    data_sources: dict[str, str]
    """``real`` or ``simulated`` per symbol."""
    market_data_timestamp: float
    """Epoch seconds of the newest price used."""
    window: dict[str, Any]
    """``start``, ``end``, ``observations``, ``partial``."""


class OptimizationResultData(_Data):
    """Carries the answer."""

    type: Literal["optimization_result"] = "optimization_result"
    request_id: str
    client_id: str
    weights: dict[str, float]
    metrics: dict[str, float | None]
    """Yearly ``expected_return``, ``expected_volatility``, ``sharpe_ratio``, ``sortino_ratio``;
    one-day ``value_at_risk`` and ``cvar``; ``max_drawdown`` of the window."""
    optimization_time: float
    """Seconds from the worker's claim to the end."""
    timestamp: float
    trigger: Trigger
    method: Method
    success: Literal[True] = True
    cached: bool
    error: None = None
    metadata: ResultMetadata


class FrontierPoint(_Data):
    """One point of a frontier."""

    index: int
    """0 for the least risk."""
    target_return: float
    """Yearly."""
    weights: dict[str, float]
    metrics: dict[str, float | None]
    optimality_gap: float | None


class FrontierPointData(_Data):
    """Carries a point of a frontier as soon as it is found."""

    type: Literal["frontier_point"] = "frontier_point"
    request_id: str
    client_id: str
    point: FrontierPoint


class FrontierResultData(_Data):
    """Carries a whole frontier."""

    type: Literal["frontier_result"] = "frontier_result"
    request_id: str
    client_id: str
    points: list[FrontierPoint]
    optimization_time: float
    """Seconds from the worker's claim to the end."""
    timestamp: float
    trigger: Trigger
    method: Method
    success: Literal[True] = True
    cached: bool
    error: None = None
    metadata: dict[str, Any]


class OptimizationCancelledData(_Data):
    """Ends a request that was cancelled."""

    type: Literal["optimization_cancelled"] = "optimization_cancelled"
    request_id: str
    client_id: str


class PricePoint(_Data):
    """The newest price of a symbol."""

    price: float
    timestamp: float
    source: Literal["real", "simulated"]
    feed: str


class PriceUpdateData(_Data):
    """Newest prices; those that a slow client missed are replaced, never queued."""

    prices: dict[str, PricePoint]


class FeedStatusData(_Data):
    """How the market feed does; sent to price subscribers at first and whenever it changes."""

    name: str
    """The feed that ticked last; empty before the first tick."""
    stale: bool
    """No tick for a while: prices are old and automatic triggers pause."""
    last_tick: float | None
    """Epoch seconds."""


class RiskAlertData(_Data):
    """A watched portfolio went beyond one of its limits."""

    portfolio_id: str
    portfolio_name: str
    measure: str
    """``volatility``, ``value_at_risk``, ``cvar``, ``drawdown`` or ``concentration``."""
    value: float
    limit: float
    detail: str
    """The same in words."""


class PortfolioStandingData(_Data):
    """How a watched portfolio stands at the newest prices."""

    value: float
    """In currency."""
    weights: dict[str, float]
    target_weights: dict[str, float]
    """Weights that the last result asked for."""
    quantities: dict[str, float | None]
    """What triggers may name, as fractions; null where a price is unknown."""
    simulated: bool
    """Whether any of its prices is simulated."""


class WatchingData(_Data):
    """Confirms that a portfolio is watched."""

    portfolio_id: str
    name: str
    status: Literal["watching"] = "watching"
    triggers: list[dict[str, Any]]
    standing: PortfolioStandingData


class UnwatchedData(_Data):
    """Confirms that a portfolio is watched no longer."""

    portfolio_id: str
    status: Literal["unwatched"] = "unwatched"


class SubscriptionData(_Data):
    """Confirms a subscription or its end."""

    topic: str
    status: Literal["subscribed", "unsubscribed"]


class HeartbeatReplyData(_Data):
    """Answers a heartbeat."""

    status: Literal["alive"] = "alive"
    server_time: str


class ResumedData(_Data):
    """Ends the replay of missed frames."""

    recovered: bool
    """False when the missed frames are no longer kept: ask again for what matters."""
    replayed: int
    epoch: str
    seq: int
    """The newest number at this moment: whatever comes from now on is beyond it."""


class ErrorData(_Data):
    """Says what went wrong and how to mend it."""

    error: str
    """One of a few fixed sentences."""
    detail: str
    """What exactly, and the mend."""
    code: ErrorCode
    retry: bool
    """Whether the same frame may succeed later."""
    request_id: str | None
    """The request that ended with this error, or null when none was accepted."""
    fields: list[str]
    """Paths inside ``data`` of what to change."""


class Frame(BaseModel):
    """The envelope of every frame that the server sends."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: ServerMessage
    data: dict[str, Any]
    timestamp: float
    """Epoch seconds at which the frame was made."""
    client_id: str | None = None
    """The connection that receives it."""
    request_id: str | None = None
    """The client's own top-level ``request_id``, echoed."""
    seq: int | None = None
    """Grows by one per durable frame of this owner."""
    epoch: str | None = None
    """Names the run of ``seq``."""


def server_frame(
    message: ServerMessage, data: BaseModel, echo: str | None = None
) -> dict[str, Any]:
    """A frame as a JSON-ready dict; ``client_id``, ``seq`` and ``epoch`` are set on delivery."""
    frame: dict[str, Any] = {
        "type": message.value,
        "data": data.model_dump(mode="json"),
        "timestamp": time.time(),
    }
    if echo is not None:
        frame["request_id"] = echo
    return frame


def error_frame(
    code: ErrorCode, detail: str, *, fields: tuple[str, ...] = (), request_id: str | None = None
) -> dict[str, Any]:
    """An error frame."""
    data = ErrorData(
        error=SENTENCES[code],
        detail=detail,
        code=code,
        retry=code in RETRYABLE,
        request_id=request_id,
        fields=list(fields),
    )
    return server_frame(ServerMessage.ERROR, data)

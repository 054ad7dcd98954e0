"""Frames that tell what became of a request."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from marketdata.quotes import FeedStatus, Quote
from optimization.engine.problem import Method, Progress
from optimization.models import Kind, OptimizationRequest, Portfolio, Status, Trigger
from optimization.services import Receipt
from optimization.solving.results import PointRecord
from optimization.watching.portfolios import PortfolioStanding
from streaming import protocol
from streaming.protocol import (
    ErrorCode,
    FeedStatusData,
    FrontierPointData,
    FrontierResultData,
    OptimizationCancelledData,
    OptimizationProgressData,
    OptimizationQueuedData,
    OptimizationResultData,
    OptimizationStartedData,
    PortfolioStandingData,
    ResultMetadata,
    RiskAlertData,
    ServerMessage,
    WatchingData,
    error_frame,
    server_frame,
)

Json = dict[str, Any]


def queued_frame(receipt: Receipt) -> Json:
    """Acknowledges an admitted request."""
    request = receipt.request
    data = OptimizationQueuedData(
        request_id=request.request_id,
        queue_position=receipt.queue_position,
        estimated_wait=receipt.estimated_wait,
        lane=request.lane,
    )
    return server_frame(ServerMessage.PORTFOLIO_UPDATE, data, request.idempotency_key)


def started_frame(request: OptimizationRequest) -> Json:
    """Says that a worker has begun."""
    data = OptimizationStartedData(
        request_id=request.request_id,
        client_id=request.client_id,
        method=Method(request.method),
    )
    return server_frame(ServerMessage.PORTFOLIO_UPDATE, data, request.idempotency_key)


def progress_frame(request: OptimizationRequest, progress: Progress) -> Json:
    """Reports a running solver."""
    data = OptimizationProgressData(
        request_id=request.request_id,
        client_id=request.client_id,
        iteration=progress.iteration,
        evaluations=progress.evaluations,
        best_value=progress.best_value,
        bound=progress.bound,
        gap=progress.gap,
        elapsed=progress.elapsed,
    )
    return server_frame(ServerMessage.PORTFOLIO_UPDATE, data, request.idempotency_key)


def terminal_frame(request: OptimizationRequest) -> Json:
    """The only last word on a request: its result, its error or its cancellation."""
    if request.status == Status.SUCCEEDED:
        return server_frame(
            ServerMessage.PORTFOLIO_UPDATE, _result(request), request.idempotency_key
        )
    if request.status == Status.CANCELLED:
        data = OptimizationCancelledData(request_id=request.request_id, client_id=request.client_id)
        return server_frame(ServerMessage.PORTFOLIO_UPDATE, data, request.idempotency_key)
    if request.status == Status.FAILED and request.error is not None:
        frame = error_frame(
            ErrorCode(request.error["code"]),
            request.error["detail"],
            fields=tuple(request.error["fields"]),
            request_id=request.request_id,
        )
        if request.idempotency_key is not None:
            frame["request_id"] = request.idempotency_key
        return frame
    raise ValueError(f"{request.request_id} is {request.status}, which is not an end")


def point_frame(request: OptimizationRequest, point: PointRecord) -> Json:
    """Carries a point of a frontier."""
    data = FrontierPointData(
        request_id=request.request_id,
        client_id=request.client_id,
        point=protocol.FrontierPoint(**point.document),
    )
    return server_frame(ServerMessage.PORTFOLIO_UPDATE, data, request.idempotency_key)


def _result(request: OptimizationRequest) -> OptimizationResultData | FrontierResultData:
    assert request.result is not None  # noqa: S101 - a succeeded row always has one
    finished = request.finished_at or timezone.now()
    common: Json = {
        "request_id": request.request_id,
        "client_id": request.client_id,
        "optimization_time": request.optimization_time or 0.0,
        "timestamp": finished.timestamp(),
        "trigger": Trigger(request.trigger),
        "method": Method(request.method),
        "cached": request.cached,
    }
    if request.kind == Kind.FRONTIER:
        return FrontierResultData(**common, **request.result)
    metadata = ResultMetadata(**request.result["metadata"])
    weights, metrics = request.result["weights"], request.result["metrics"]
    return OptimizationResultData(**common, weights=weights, metrics=metrics, metadata=metadata)


def risk_alert_frame(portfolio: Portfolio, breach: Mapping[str, Any]) -> Json:
    """Says which limit a watched portfolio went beyond."""
    words = breach["quantity"].replace("_", " ")
    data = RiskAlertData(
        portfolio_id=portfolio.portfolio_id,
        portfolio_name=portfolio.name,
        measure=breach["quantity"],
        value=breach["value"],
        limit=breach["limit"],
        detail=f"{words} of {portfolio.name} is {breach['value']:.2%}, above {breach['limit']:.2%}",
    )
    return server_frame(ServerMessage.RISK_ALERT, data)


def watching_frame(
    portfolio: Portfolio, standing: PortfolioStanding, echo: str | None = None
) -> Json:
    """Confirms that a portfolio is watched, and how it stands."""
    data = WatchingData(
        portfolio_id=portfolio.portfolio_id,
        name=portfolio.name,
        triggers=portfolio.rules,
        standing=PortfolioStandingData(**asdict(standing)),
    )
    return server_frame(ServerMessage.WATCH, data, echo)


def price_points(quotes: Mapping[str, Quote]) -> dict[str, Json]:
    """``protocol.PricePoint`` documents by symbol."""
    return {
        symbol: {
            "price": quote.price,
            "timestamp": quote.timestamp,
            "source": quote.source.value,
            "feed": quote.feed,
        }
        for symbol, quote in quotes.items()
    }


def feed_status_frame(status: FeedStatus) -> Json:
    """Says whether the feed ticks."""
    data = FeedStatusData(name=status.name, stale=status.stale, last_tick=status.last_tick)
    return server_frame(ServerMessage.FEED_STATUS, data)

"""News of the other layers, turned into frames; runs in whichever process the news is made in."""

import logging
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from marketdata.quotes import Quote
from optimization.engine.problem import Progress
from optimization.models import OptimizationRequest, Portfolio
from optimization.solving.results import PointRecord
from optimization.tracing import span
from streaming.fanout.delivery import Address
from streaming.fanout.publish import publish_durable, publish_ephemeral, publish_prices
from streaming.frames import (
    point_frame,
    price_points,
    progress_frame,
    risk_alert_frame,
    started_frame,
    terminal_frame,
)
from streaming.protocol import ErrorCode, Topic, error_frame

logger = logging.getLogger(__name__)


def request_address(request: OptimizationRequest) -> Address:
    """Who hears of a request: the connection that asked and the owner's subscribers."""
    return Address(
        owner=request.owner,
        topic=Topic.PORTFOLIO_UPDATES,
        client_id=request.client_id,
        subject=request.portfolio_id or None,
    )


def tell_started(request: OptimizationRequest, **_kwargs: Any) -> None:
    """Tell that a worker has begun."""
    try:
        publish_ephemeral(
            request_address(request), started_frame(request), before=request.request_id
        )
    except RedisError as error:
        logger.warning("%s: start not told: %s", request.request_id, error)


def tell_progress(request: OptimizationRequest, progress: Progress, **_kwargs: Any) -> None:
    """Tell how far a solver is."""
    try:
        publish_ephemeral(
            request_address(request), progress_frame(request, progress), before=request.request_id
        )
    except RedisError as error:
        logger.warning("%s: progress not told: %s", request.request_id, error)


def tell_point(request: OptimizationRequest, point: PointRecord, **_kwargs: Any) -> None:
    """Tell a point of a frontier."""
    try:
        publish_ephemeral(
            request_address(request), point_frame(request, point), before=request.request_id
        )
    except RedisError as error:
        logger.warning("%s: point not told: %s", request.request_id, error)


def tell_finished(request: OptimizationRequest, **_kwargs: Any) -> None:
    """Tell the end of a request, once; what Redis loses now ``republish_missing`` tells later."""
    try:
        with span("publish", request.traceparent):
            publish_durable(request_address(request), _last_word(request), once=request.request_id)
    except RedisError as error:
        logger.warning("%s: end not told yet: %s", request.request_id, error)


def _last_word(request: OptimizationRequest) -> Mapping[str, Any]:
    """The terminal frame, or, for a row that none can be made of, an error: never silence."""
    try:
        return terminal_frame(request)
    except (ValueError, TypeError, KeyError):
        logger.exception("%s: no frame for its end", request.request_id)
        detail = f"the record of {request.request_id} cannot be told; its operator's log says why"
        frame = error_frame(ErrorCode.ENGINE_ERROR, detail, request_id=request.request_id)
        if request.idempotency_key is not None:
            frame["request_id"] = request.idempotency_key
        return frame


def tell_risk_breach(portfolio: Portfolio, breach: Mapping[str, Any], **_kwargs: Any) -> None:
    """Tell that a watched portfolio went beyond one of its limits, once for each tick and limit.

    Raises:
        RedisError: It could not be told, or not to everybody; tell it again.
    """
    address = Address(
        owner=portfolio.owner, topic=Topic.RISK_ALERTS, subject=portfolio.portfolio_id
    )
    name = f"{portfolio.portfolio_id}:{breach['quantity']}:{breach['limit']}:{breach['at']}"
    publish_durable(address, risk_alert_frame(portfolio, breach), once=name)


def tell_prices(quotes: Mapping[str, Quote], ticks: int, **_kwargs: Any) -> None:
    """Tell newest prices."""
    try:
        publish_prices(price_points(quotes), ticks)
    except RedisError as error:
        logger.warning("prices not told: %s", error)

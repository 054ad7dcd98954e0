"""What the terminal client shows."""

import io
import time

from rich.console import Console

from streaming.protocol import (
    ErrorCode,
    HeartbeatReplyData,
    OptimizationQueuedData,
    PricePoint,
    PriceUpdateData,
    ServerMessage,
    error_frame,
    server_frame,
)
from streaming.terminal import StreamView, describe


def _prices(price: float) -> dict[str, object]:
    point = PricePoint(price=price, timestamp=time.time(), source="simulated", feed="simulated")
    return server_frame(ServerMessage.PRICE_UPDATE, PriceUpdateData(prices={"AAPL": point}))


def _text(view: StreamView) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(view.render())
    return out.getvalue()


def test_prices_show_their_change_since_the_client_began() -> None:
    view = StreamView()
    view.take(_prices(100.0))
    view.take(_prices(101.0))
    text = _text(view)
    assert "101.0000" in text
    assert "+1.000 %" in text
    assert "simulated" in text


def test_news_is_told_in_one_line_each_and_the_oldest_goes() -> None:
    view = StreamView()
    for number in range(20):
        data = OptimizationQueuedData(
            request_id=f"r{number}", queue_position=2, estimated_wait=1.5, lane="convex"
        )
        view.take(server_frame(ServerMessage.PORTFOLIO_UPDATE, data))
    text = _text(view)
    assert "r19 waits at 2, about 1.50 s" in text
    assert "r7 " not in text


def test_heartbeats_are_no_news_and_errors_are() -> None:
    view = StreamView()
    view.take(server_frame(ServerMessage.HEARTBEAT, HeartbeatReplyData(server_time="now")))
    assert not view.events
    view.take(error_frame(ErrorCode.QUEUE_FULL, "100 requests wait already"))
    assert "Optimization queue full: 100 requests wait already" in _text(view)


def test_a_frame_without_words_of_its_own_is_still_told() -> None:
    assert describe({"type": "feed_status", "data": {"feed": "simulated", "stale": True}}) == (
        "feed_status: feed simulated, stale True"
    )

"""Coinbase's protocol, spoken by a local server."""

from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import pytest

from marketdata.feeds.base import FeedInterruptedError, FeedRefusedError
from marketdata.feeds.coinbase import CoinbaseFeed
from marketdata.feeds.json_socket import Timeouts
from marketdata.models import Source
from marketdata.quotes import Quote
from tests.marketdata.feeds.stream_server import (
    Conversation,
    CountedBackoff,
    Session,
    collect,
    stream_server,
)

HEARTBEAT = {"type": "heartbeat", "sequence": 1, "product_id": "BTC-USD", "last_trade_id": 0}
QUICK = Timeouts(connect=5.0, reply=5.0, stall=5.0)


def ticker(sequence: int, price: str, product: str = "BTC-USD") -> dict[str, Any]:
    return {
        "type": "ticker",
        "sequence": sequence,
        "product_id": product,
        "price": price,
        "time": "2022-10-19T23:28:22.061769Z",
        "trade_id": 370843401,
    }


def subscribed(*messages: dict[str, Any], then: Conversation = Session.stall) -> Conversation:
    async def script(session: Session) -> None:
        assert await session.hear() == {
            "type": "subscribe",
            "product_ids": ["BTC-USD", "ETH-USD"],
            "channels": ["ticker", "heartbeat"],
        }
        await session.send({"type": "subscriptions", "channels": []}, *messages)
        await then(session)

    return script


def feed(url: str, timeouts: Timeouts = QUICK) -> CoinbaseFeed:
    return CoinbaseFeed(url=url, products=("BTC-USD", "ETH-USD"), timeouts=timeouts)


async def test_tickers_are_quotes_and_heartbeats_are_not() -> None:
    script = subscribed(HEARTBEAT, {"type": "status"}, ticker(5, "19180.61"))
    async with (
        stream_server(script) as server,
        aclosing(feed(server.url).batches()) as batches,
    ):
        (quote,) = await anext(batches)
    assert quote == Quote("BTC-USD", 19180.61, 1666222102.061769, Source.REAL, "coinbase")


async def test_gaps_are_passed_over_and_duplicates_and_late_ones_dropped() -> None:
    script = subscribed(
        ticker(5, "1"),
        ticker(5, "1"),
        ticker(9, "3"),
        ticker(8, "2"),
        ticker(2, "7", "ETH-USD"),
        ticker(10, "4"),
    )
    quotes = await collect(feed, 4, script)
    assert [quote.price for quote in quotes] == [1.0, 3.0, 7.0, 4.0]


def refusing(reason: str) -> Conversation:
    async def script(session: Session) -> None:
        await session.hear()
        await session.send({"type": "error", "message": "Failed to subscribe", "reason": reason})

    return script


@pytest.mark.parametrize(
    "reason", ["XXX-USD is not a valid product", "user channel requires authentication"]
)
async def test_a_refused_subscription_ends_the_feed(reason: str) -> None:
    async with stream_server(refusing(reason)) as server:
        with pytest.raises(FeedRefusedError, match=reason):
            await anext(feed(server.url).batches())


async def test_a_limit_of_connections_or_subscriptions_is_tried_again_after_a_longer_wait() -> None:
    waits = CountedBackoff()
    quotes = await collect(
        feed,
        2,
        *(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.TOO_MANY_REQUESTS),
        refusing("Subscription limit exceeded for ticker"),
        subscribed(ticker(1, "1"), then=Session.break_off),
        subscribed(ticker(1, "2")),
        backoff=waits,
    )
    assert [quote.price for quote in quotes] == [1.0, 2.0]
    assert waits.attempts == [1, 2, 3, 1]


async def test_an_address_that_is_forbidden_ends_the_feed() -> None:
    async with stream_server(HTTPStatus.FORBIDDEN) as server:
        with pytest.raises(FeedRefusedError, match="HTTP 403"):
            await anext(feed(server.url).batches())


async def test_a_slow_client_a_broken_connection_and_a_close_are_connected_again() -> None:
    async def slow(session: Session) -> None:
        await session.send({"type": "error", "message": "ErrSlowConsume"})

    async def close(session: Session) -> None:
        await session.socket.close()

    quotes = await collect(
        feed,
        4,
        subscribed(ticker(1, "1"), then=slow),
        subscribed(ticker(1, "2"), then=Session.break_off),
        subscribed(ticker(1, "3"), then=close),
        subscribed(ticker(1, "4")),
    )
    assert [quote.price for quote in quotes] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "answer", [{"type": "error", "message": "slow down"}, {"type": "ticker"}, [], {"kind": 1}]
)
async def test_any_other_answer_breaks_the_connection(answer: Any) -> None:
    async def script(session: Session) -> None:
        await session.hear()
        await session.send(answer)

    async with stream_server(script) as server:
        with pytest.raises(FeedInterruptedError):
            await anext(feed(server.url).batches())


async def test_a_stall_ends_in_a_new_connection_whose_numbers_begin_anew() -> None:
    timeouts = Timeouts(connect=5.0, reply=5.0, stall=0.05)
    scripts = subscribed(ticker(5, "1")), subscribed(ticker(4, "2"))
    quotes = await collect(lambda url: feed(url, timeouts), 2, *scripts)
    # Only the last is sure: a busy machine may take a slow first ticker for a stall.
    assert quotes[-1].price == 2.0

"""Coinbase's protocol, spoken by a local server."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from marketdata.feeds.base import Backoff, FeedInterruptedError, FeedRefusedError, run
from marketdata.feeds.coinbase import CoinbaseFeed
from marketdata.feeds.json_socket import Timeouts
from marketdata.models import Source
from marketdata.quotes import Quote
from tests.marketdata.feeds.stream_server import Script, Session, stream_server

HEARTBEAT = {"type": "heartbeat", "sequence": 1, "product_id": "BTC-USD", "last_trade_id": 0}
QUICK = Timeouts(connect=5.0, reply=5.0, stall=5.0)


class EnoughError(Exception):
    """The sink has what the test waited for."""


def ticker(sequence: int, price: str, product: str = "BTC-USD") -> dict[str, Any]:
    return {
        "type": "ticker",
        "sequence": sequence,
        "product_id": product,
        "price": price,
        "time": "2022-10-19T23:28:22.061769Z",
        "trade_id": 370843401,
    }


def subscribed(*messages: dict[str, Any]) -> Script:
    async def script(session: Session) -> None:
        assert await session.hear() == {
            "type": "subscribe",
            "product_ids": ["BTC-USD", "ETH-USD"],
            "channels": ["ticker", "heartbeat"],
        }
        await session.send({"type": "subscriptions", "channels": []}, *messages)
        await session.stall()

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
    prices: list[float] = []
    async with (
        stream_server(script) as server,
        aclosing(feed(server.url).batches()) as batches,
    ):
        async for batch in batches:
            prices += [quote.price for quote in batch]
            if len(prices) == 4:
                break
    assert prices == [1.0, 3.0, 7.0, 4.0]


async def test_a_refused_subscription_ends_the_feed() -> None:
    async def script(session: Session) -> None:
        await session.hear()
        reason = "XXX-USD is not a valid product"
        await session.send({"type": "error", "message": "Failed to subscribe", "reason": reason})

    async with stream_server(script) as server:
        with pytest.raises(FeedRefusedError, match="XXX-USD is not a valid product"):
            await anext(feed(server.url).batches())


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
    prices: list[float] = []

    async def sink(batch: Sequence[Quote]) -> None:
        prices.extend(quote.price for quote in batch)
        if len(prices) == 2:
            raise EnoughError

    timeouts = Timeouts(connect=5.0, reply=5.0, stall=0.05)
    rng = np.random.default_rng(1)
    async with stream_server(subscribed(ticker(5, "1")), subscribed(ticker(4, "2"))) as server:
        with pytest.raises(EnoughError):
            await run(feed(server.url, timeouts), sink, Backoff(first=0.0), rng)
        assert server.connections == 2
    assert prices == [1.0, 2.0]

"""Alpaca's protocol, spoken by a local server."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest

from marketdata.feeds.alpaca import AlpacaFeed, epoch, number, trade_quote
from marketdata.feeds.base import Backoff, FeedInterruptedError, FeedRefusedError, run
from marketdata.feeds.json_socket import Timeouts
from marketdata.models import Source
from marketdata.quarantine import Limits, TickFilter
from marketdata.quotes import Quote
from tests.marketdata.feeds.stream_server import (
    Conversation,
    CountedBackoff,
    Session,
    collect,
    stream_server,
)

QUICK = Timeouts(connect=5.0, reply=5.0, stall=5.0)
IMPATIENT = Timeouts(connect=5.0, reply=0.05, stall=0.05)
NOW = 1_614_009_104.0


async def nowhere(batch: Sequence[Quote]) -> None:
    raise AssertionError(f"nothing was to come: {batch}")


def trade(price: Any, second: float = 0.0, symbol: str = "AAPL") -> dict[str, Any]:
    time = f"2021-02-22T15:51:{44 + second:012.9f}Z"
    return {"T": "t", "i": 7, "S": symbol, "x": "D", "p": price, "s": 1, "t": time, "z": "C"}


def trading(*batches: list[dict[str, Any]], then: Conversation | None = None) -> Conversation:
    async def script(session: Session) -> None:
        await session.send([{"T": "success", "msg": "connected"}])
        assert await session.hear() == {"action": "auth", "key": "id", "secret": "secret"}
        await session.send([{"T": "success", "msg": "authenticated"}])
        assert await session.hear() == {"action": "subscribe", "trades": ["AAPL", "MSFT"]}
        await session.send([{"T": "subscription", "trades": ["AAPL", "MSFT"], "quotes": []}])
        await session.send(*batches)
        if then:
            await then(session)

    return script


def failing(code: int, text: str, *, after_auth: bool = True) -> Conversation:
    async def script(session: Session) -> None:
        await session.send([{"T": "success", "msg": "connected"}])
        if after_auth:
            await session.hear()
        await session.send([{"T": "error", "code": code, "msg": text}])
        await session.stall()

    return script


def feed(url: str, timeouts: Timeouts = QUICK) -> AlpacaFeed:
    return AlpacaFeed(
        url=url, key_id="id", secret_key="secret", symbols=("AAPL", "MSFT"), timeouts=timeouts
    )


async def test_after_welcome_sign_in_and_subscription_trades_are_quotes() -> None:
    batch = [trade(126.55), {"T": "b", "S": "AAPL"}, trade(240.5, 1, "MSFT")]
    quotes = await collect(feed, 2, trading(batch, then=Session.stall))
    assert quotes == [
        Quote("AAPL", 126.55, NOW, Source.REAL, "alpaca"),
        Quote("MSFT", 240.5, NOW + 1, Source.REAL, "alpaca"),
    ]


@pytest.mark.parametrize(
    ("code", "text"),
    [(402, "auth failed"), (405, "symbol limit exceeded"), (409, "insufficient subscription")],
)
async def test_an_error_that_stays_ends_the_feed_and_is_told(code: int, text: str) -> None:
    async with stream_server(failing(code, text)) as server:
        with pytest.raises(FeedRefusedError, match=f"Alpaca says: {text} .code {code}"):
            await run(feed(server.url), nowhere, Backoff(first=0.0), np.random.default_rng(1))
        assert server.connections == 1


async def test_a_connection_limit_is_tried_again() -> None:
    busy = failing(406, "connection limit exceeded", after_auth=False)
    quotes = await collect(feed, 1, busy, busy, trading([trade(1.0)], then=Session.stall))
    assert [quote.price for quote in quotes] == [1.0]


async def test_each_failure_waits_longer_until_a_trade_ends_the_row() -> None:
    busy = failing(406, "connection limit exceeded", after_auth=False)
    waits = CountedBackoff()
    await collect(
        feed,
        2,
        *(busy, HTTPStatus.TOO_MANY_REQUESTS, trading(then=Session.break_off)),
        trading([trade(1.0)], then=Session.break_off),
        trading([trade(2.0)], then=Session.stall),
        backoff=waits,
    )
    assert waits.attempts == [1, 2, 3, 1]


async def test_a_slow_client_and_a_broken_connection_are_connected_again() -> None:
    async def slow(session: Session) -> None:
        await session.send([{"T": "error", "code": 407, "msg": "slow client"}])

    quotes = await collect(
        feed,
        3,
        trading([trade(1.0)], then=slow),
        trading([trade(2.0)], then=Session.break_off),
        trading([trade(3.0)], then=Session.stall),
    )
    assert [quote.price for quote in quotes] == [1.0, 2.0, 3.0]


async def test_a_stall_ends_in_a_new_connection() -> None:
    timeouts = Timeouts(connect=5.0, reply=5.0, stall=0.2)
    scripts = trading([trade(1.0)], then=Session.stall), trading([trade(2.0)], then=Session.stall)
    quotes = await collect(lambda url: feed(url, timeouts), 2, *scripts)
    # Only the last is sure: a busy machine may take a slow first trade for a stall.
    assert quotes[-1].price == 2.0


async def test_gaps_duplicates_and_reordering_leave_the_newest_price() -> None:
    batches = [[trade(1.0, 0)], [trade(1.0, 0), trade(5.0, 5)], [trade(4.0, 4)], [trade(6.0, 6)]]
    quotes = await collect(feed, 5, trading(*batches, then=Session.stall))
    rules = TickFilter(Limits(max_jump=100.0))
    kept = rules.sort(quotes, NOW + 6)
    assert [quote.price for quote in kept.accepted] == [1.0, 5.0, 6.0]
    assert kept.superseded == 2


@pytest.mark.parametrize("welcome", [{"T": "success"}, [1], [{"msg": "connected"}], "hello", [{}]])
async def test_what_is_not_the_protocol_breaks_the_connection(welcome: Any) -> None:
    async def script(session: Session) -> None:
        await session.send(welcome)
        await session.stall()

    async with stream_server(script) as server:
        with pytest.raises(FeedInterruptedError, match="expected"):
            await anext(feed(server.url).batches())


async def test_what_is_not_json_breaks_the_connection() -> None:
    async def script(session: Session) -> None:
        await session.socket.send("<html>")
        await session.stall()

    async with stream_server(script) as server:
        with pytest.raises(FeedInterruptedError, match="not JSON"):
            await anext(feed(server.url).batches())


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async with stream_server(Session.stall) as server:
        with pytest.raises(FeedInterruptedError, match=r"no message for 0\.05 s"):
            await anext(feed(server.url, IMPATIENT).batches())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (HTTPStatus.FORBIDDEN, FeedRefusedError),
        (HTTPStatus.TOO_MANY_REQUESTS, FeedInterruptedError),
    ],
)
async def test_an_http_answer_is_told(status: HTTPStatus, error: type[Exception]) -> None:
    async with stream_server(status) as server:
        with pytest.raises(error, match=f"HTTP {status.value}"):
            await anext(feed(server.url).batches())


async def test_nobody_listening_is_tried_again_and_no_address_is_refused(free_port: int) -> None:
    with pytest.raises(FeedInterruptedError, match=str(free_port)):
        await anext(feed(f"ws://127.0.0.1:{free_port}").batches())
    with pytest.raises(FeedRefusedError, match="is no WebSocket address"):
        await anext(feed("http://127.0.0.1").batches())


@pytest.mark.parametrize("message", [{}, {"p": "x", "t": "y"}, {"p": True}, {"p": [1]}])
def test_a_trade_that_cannot_be_read_is_no_number(message: dict[str, Any]) -> None:
    quote = trade_quote(message)
    assert math.isnan(quote.price)
    assert math.isnan(quote.timestamp)


def test_times_are_read_to_the_microsecond_and_need_a_zone() -> None:
    assert epoch("2021-02-22T15:51:44.208123456Z") == pytest.approx(NOW + 0.208123, abs=1e-6)
    assert math.isnan(epoch("2021-02-22T15:51:44"))
    assert number("1.5") == 1.5


def test_the_secret_is_not_printed() -> None:
    assert "secret'" not in repr(feed("ws://x"))

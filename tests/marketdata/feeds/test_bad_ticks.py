"""Bad ticks from either market: in quarantine, seen in the admin, and never a price."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.urls import reverse
from redis import Redis

from marketdata.feeds.base import Feed, Recorder
from marketdata.models import QuarantinedTick
from marketdata.quarantine import TickFilter
from marketdata.quotes import latest_quotes
from tests.marketdata.feeds import test_alpaca, test_coinbase
from tests.marketdata.feeds.stream_server import Conversation, Session, collect

NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Market:
    """One of the two protocols.

    Attributes:
        symbol: What is traded.
        feed: Makes its feed of an address.
        talk: The server's side: tells these ticks, each a price as it is written and its time.
    """

    symbol: str
    feed: Callable[[str], Feed]
    talk: Callable[[list[tuple[Any, float]]], Conversation]


def written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def alpaca(ticks: list[tuple[Any, float]]) -> Conversation:
    trades = [{**test_alpaca.trade(price), "t": written(time)} for price, time in ticks]
    return test_alpaca.trading(trades, then=Session.stall)


def coinbase(ticks: list[tuple[Any, float]]) -> Conversation:
    messages = [
        {**test_coinbase.ticker(number, str(price)), "time": written(time)}
        for number, (price, time) in enumerate(ticks)
    ]
    return test_coinbase.subscribed(*messages)


MARKETS = {
    "alpaca": Market("AAPL", test_alpaca.feed, alpaca),
    "coinbase": Market("BTC-USD", test_coinbase.feed, coinbase),
}


@pytest.mark.parametrize("name", MARKETS)
@pytest.mark.django_db(transaction=True)
async def test_each_kind_is_quarantined_and_visible_in_the_admin(
    name: str, redis_server: Redis, admin_client: Client
) -> None:
    market = MARKETS[name]
    ticks = [
        (100.0, NOW),
        (-101.0, NOW + 1),
        (0, NOW + 2),
        ("NaN", NOW + 3),
        (102.0, NOW - 3600),
        (10.0, NOW + 4),
        (190.0, NOW + 4),
        (103.0, NOW + 4),
    ]
    record = Recorder(TickFilter(), clock=lambda: NOW)
    await collect(market.feed, len(ticks), market.talk(ticks), then=record)
    quotes = await sync_to_async(latest_quotes)()
    assert {symbol: quote.price for symbol, quote in quotes.items()} == {market.symbol: 103.0}
    refused = {
        "-101.0": "not_positive",
        "0.0": "not_positive",
        "nan": "not_a_number",
        "102.0": "stale",
        "10.0": "jump",
        "190.0": "jump",
    }
    kept = QuarantinedTick.objects.filter(symbol=market.symbol, feed=name)
    found = {row.price: row.reason async for row in kept}
    assert found == refused
    page = await sync_to_async(admin_client.get)(
        reverse("admin:marketdata_quarantinedtick_changelist")
    )
    html = page.content.decode()
    for price, reason in refused.items():
        assert f">{price}<" in html
        assert f">{reason}<" in html

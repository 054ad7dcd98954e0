"""Coinbase Exchange's public ticker of crypto currencies.

Protocol: docs.cdp.coinbase.com, "Exchange WebSocket". Every message is an object with a ``type``:
``subscriptions`` answers ``subscribe``; ``ticker`` carries a price; ``heartbeat`` comes every
second whether or not anybody trades; ``error`` says what was wrong. Who connects too often is
answered HTTP 429; who lags behind is told so and disconnected. Messages may be lost or come out of
order; ``sequence`` ascends per product. A gap needs no repair: only the newest price counts.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from marketdata.feeds.alpaca import epoch, number
from marketdata.feeds.base import FeedInterruptedError, FeedRefusedError
from marketdata.feeds.json_socket import Timeouts, json_socket
from marketdata.models import Source
from marketdata.quotes import Quote

NAME = "coinbase"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinbaseFeed:
    """Tickers of ``products``, such as ``BTC-USD``.

    Attributes:
        url: Such as ``wss://ws-feed.exchange.coinbase.com``.
        products: What to subscribe to.
        timeouts: Heartbeats come every second, so a stall is short.
    """

    url: str
    products: tuple[str, ...]
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(stall=10.0))

    @property
    def name(self) -> str:
        """Its name, on every quote."""
        return NAME

    async def batches(self) -> AsyncGenerator[list[Quote], None]:
        """Subscribe and yield tickers."""
        async with json_socket(self.url, self.timeouts) as socket:
            await socket.send(
                {
                    "type": "subscribe",
                    "product_ids": list(self.products),
                    "channels": ["ticker", "heartbeat"],
                }
            )
            first = checked(await socket.receive(self.timeouts.reply))
            if first["type"] != "subscriptions":
                raise FeedInterruptedError(f"expected subscriptions, got {str(first)[:200]}")
            newest: dict[str, int] = {}
            while True:
                message = checked(await socket.receive(self.timeouts.stall))
                if message["type"] == "ticker" and _advances(message, newest):
                    yield [ticker_quote(message)]


def checked(message: Any) -> dict[str, Any]:
    """``message`` if it is what the protocol promises and no error.

    Raises:
        FeedInterruptedError: Not a tagged object, or an error that may pass.
        FeedRefusedError: The subscription is refused.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise FeedInterruptedError(f"expected a message, got {str(message)[:200]}")
    if message["type"] == "error":
        told = f"Coinbase says: {message.get('message')}: {message.get('reason', 'no reason')}"
        refused = message.get("message") == "Failed to subscribe"
        # An account has so many subscriptions, and those of an old connection may not have ended.
        passes = "limit" in str(message.get("reason")).lower()
        raise FeedRefusedError(told) if refused and not passes else FeedInterruptedError(told)
    return message


def ticker_quote(message: dict[str, Any]) -> Quote:
    """The quote of a ticker; what cannot be read becomes NaN, which the quarantine refuses."""
    return Quote(
        symbol=str(message.get("product_id")),
        price=number(message.get("price")),
        timestamp=epoch(message.get("time")),
        source=Source.REAL,
        feed=NAME,
    )


def _advances(message: dict[str, Any], newest: dict[str, int]) -> bool:
    """Whether ``message`` is newer than all before it of its product; duplicates are not."""
    product, sequence = str(message.get("product_id")), message.get("sequence")
    if not isinstance(sequence, int):
        return True
    if sequence <= newest.get(product, -1):
        return False
    newest[product] = sequence
    return True

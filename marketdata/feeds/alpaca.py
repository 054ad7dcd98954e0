"""Alpaca's stream of stock trades.

Protocol: docs.alpaca.markets, "WebSocket Stream". Every message is an array of objects whose ``T``
says what they are: ``success`` (``connected``, ``authenticated``), ``error`` with a code,
``subscription``, and ``t`` for a trade.
"""

import datetime as dt
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from marketdata.feeds.base import FeedInterruptedError, FeedRefusedError
from marketdata.feeds.json_socket import JsonSocket, Timeouts, json_socket
from marketdata.models import Source
from marketdata.quotes import Quote

NAME = "alpaca"

PASSING_CODES = frozenset({403, 404, 406, 407, 500})
"""Errors that another attempt may not meet: already authenticated, authentication timeout,
connection limit (an old connection may not have ended yet), slow client, internal error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaFeed:
    """Trades of ``symbols``.

    Attributes:
        url: Stream, such as ``wss://stream.data.alpaca.markets/v2/iex``.
        key_id: API key.
        secret_key: Its secret.
        symbols: What to subscribe to.
        timeouts: Outside trading hours nothing comes, so a stall is long; pings find a dead peer.
    """

    url: str
    key_id: str
    secret_key: str = field(repr=False)
    symbols: tuple[str, ...]
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(stall=900.0))

    @property
    def name(self) -> str:
        """Its name, on every quote."""
        return NAME

    async def batches(self) -> AsyncGenerator[list[Quote], None]:
        """Sign in, subscribe and yield trades."""
        async with json_socket(self.url, self.timeouts) as socket:
            await self._expect(socket, "success", "connected")
            await socket.send({"action": "auth", "key": self.key_id, "secret": self.secret_key})
            await self._expect(socket, "success", "authenticated")
            await socket.send({"action": "subscribe", "trades": list(self.symbols)})
            await self._expect(socket, "subscription")
            while True:
                messages = checked(await socket.receive(self.timeouts.stall))
                quotes = [trade_quote(message) for message in messages if message["T"] == "t"]
                if quotes:
                    yield quotes

    async def _expect(self, socket: JsonSocket, kind: str, text: str | None = None) -> None:
        messages = checked(await socket.receive(self.timeouts.reply))
        if not any(m["T"] == kind and text in (None, m.get("msg")) for m in messages):
            raise FeedInterruptedError(f"expected {text or kind}, got {str(messages)[:200]}")


def checked(messages: Any) -> list[dict[str, Any]]:
    """``messages`` if they are what the protocol promises and none is an error.

    Raises:
        FeedInterruptedError: Not an array of tagged objects, or an error that may pass.
        FeedRefusedError: An error that will not pass.
    """
    if not isinstance(messages, list) or not all(
        isinstance(message, dict) and isinstance(message.get("T"), str) for message in messages
    ):
        raise FeedInterruptedError(f"expected an array of messages, got {str(messages)[:200]}")
    for message in messages:
        if message["T"] == "error":
            code = message.get("code")
            kind = FeedInterruptedError if code in PASSING_CODES else FeedRefusedError
            raise kind(f"Alpaca says: {message.get('msg')} (code {code})")
    return messages


def trade_quote(message: dict[str, Any]) -> Quote:
    """The quote of a trade; what cannot be read becomes NaN, which the quarantine refuses."""
    return Quote(
        symbol=str(message.get("S")),
        price=number(message.get("p")),
        timestamp=epoch(message.get("t")),
        source=Source.REAL,
        feed=NAME,
    )


def number(value: object) -> float:
    """``value`` as a float; NaN when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def epoch(value: object) -> float:
    """Epoch seconds of an RFC 3339 time; NaN when it is none."""
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return math.nan
    return moment.timestamp() if moment.tzinfo else math.nan

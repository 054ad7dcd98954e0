"""The newest quotes, in one Redis hash that every process reads; ticks are kept nowhere else."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from django.conf import settings

from marketdata.models import Source
from marketdata.redis_client import Asked, Command, redis_client, redis_commands, redis_key
from marketdata.signals import tick_recorded


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of a symbol at a moment.

    Attributes:
        symbol: Its ticker.
        price: In the currency of its bars.
        timestamp: Epoch seconds.
        source: ``real`` or ``simulated``.
        feed: Name of the feed that brought it.
    """

    symbol: str
    price: float
    timestamp: float
    source: Source
    feed: str


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How the feed does.

    Attributes:
        name: The feed that ticked last; empty before the first tick.
        last_tick: Epoch seconds of the last batch; None before the first.
        stale: No tick for FEED_STALE_SECONDS, or never.
        ticks: Quotes recorded since Redis was started empty.
    """

    name: str
    last_tick: float | None
    stale: bool
    ticks: int


def record_quotes(quotes: Iterable[Quote]) -> dict[str, Quote]:
    """Write the newest quote of each symbol and tell the receivers of ``tick_recorded``.

    Blocks on Redis; a receiver that fails is logged and keeps nobody else from the news.

    Returns:
        What was written, by symbol: the last of each symbol in ``quotes``.
    """
    newest = {quote.symbol: quote for quote in quotes}
    if not newest:
        return newest
    feed = next(reversed(newest.values())).feed
    encoded = [word for quote in newest.values() for word in (quote.symbol, _encode(quote))]
    *_, (*_, ticks) = redis_commands(
        [
            ("MULTI",),
            ("HSET", _quotes_key(), *encoded),
            ("HSET", _feed_key(), "name", feed, "last_tick", repr(time.time())),
            ("SET", _alive_key(), 1, "PX", int(1000 * settings.FEED_STALE_SECONDS)),
            ("HINCRBY", _feed_key(), "ticks", len(newest)),
            ("EXEC",),
        ]
    )
    tick_recorded.send_robust(sender=record_quotes, quotes=newest, ticks=int(ticks))
    return newest


def latest_quotes(symbols: Iterable[str] | None = None) -> dict[str, Quote]:
    """The newest quotes of ``symbols`` (all when left out); symbols without one are left out."""
    if symbols is None:
        values: list[bytes | str | None] = [*redis_client().hvals(_quotes_key())]
    else:
        names = list(symbols)
        values = list(redis_client().hmget(_quotes_key(), names)) if names else []
    return quotes_answer(values)


def quotes_question(symbols: Iterable[str]) -> Command:
    """The command that asks for the newest quotes of symbols, at least one."""
    return ("HMGET", _quotes_key(), *symbols)


def quotes_answer(values: Iterable[bytes | str | None]) -> dict[str, Quote]:
    """The quotes in the reply to it; symbols without one are left out."""
    decoded = [_decode(value) for value in values if value is not None]
    return {quote.symbol: quote for quote in decoded}


class AskedQuotes:
    """The newest quotes at the moment when this is made, to be read later, as a context.

    Args:
        symbols: Whose; at least one.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self._asked = Asked(*quotes_question(symbols))
        self._told: dict[str, Quote] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what was not read."""
        self._asked.__exit__(*error)

    def read(self) -> dict[str, Quote]:
        """The quotes; symbols without one are left out.

        Raises:
            RedisError: Redis cannot be reached.
        """
        if self._told is None:
            self._told = quotes_answer(self._asked.reply())
        return self._told


def feed_status() -> FeedStatus:
    """Which feed ticks, since when not, and how much."""
    told: Mapping[bytes | str, bytes | str] = redis_client().hgetall(_feed_key())
    if not told:
        return FeedStatus(name="", last_tick=None, stale=True, ticks=0)
    fields = {_text(key): _text(value) for key, value in told.items()}
    last_tick = float(fields["last_tick"])
    return FeedStatus(
        name=fields["name"],
        last_tick=last_tick,
        # Redis counts the seconds: the clock of the feed's host may differ from ours.
        stale=not redis_client().exists(_alive_key()),
        ticks=int(fields["ticks"]),
    )


def _quotes_key() -> str:
    return redis_key("quotes")


def _feed_key() -> str:
    return redis_key("feed")


def _alive_key() -> str:
    return redis_key("feed", "alive")


def _encode(quote: Quote) -> str:
    fields = [quote.symbol, quote.price, quote.timestamp, str(quote.source), quote.feed]
    return json.dumps(fields)


def _decode(value: bytes | str) -> Quote:
    symbol, price, timestamp, source, feed = json.loads(value)
    return Quote(symbol, price, timestamp, Source(source), feed)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

"""News that watched portfolios may be optimised for: posted anywhere, taken by the watcher."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from marketdata.errors import MarketDataError
from marketdata.redis_client import redis_client, redis_key
from marketdata.selectors import check_symbols
from optimization.errors import InvalidRequestError
from optimization.solving.problems import market_data_error

MAX_WAITING = 1000
"""Events kept while no watcher runs; the oldest are dropped beyond it."""


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """Something that happened.

    Attributes:
        headline: What.
        symbols: To whom; empty for the whole market.
    """

    headline: str
    symbols: tuple[str, ...] = ()


def events_key() -> str:
    """Key of the events that wait, the oldest first."""
    return redis_key("events")


def event_post(event: MarketEvent) -> None:
    """Hand an event to the watcher.

    Raises:
        InvalidRequestError: It says nothing.
        MarketDataUnavailableError: It concerns a symbol that nobody has prices of.
    """
    if not event.headline.strip():
        raise InvalidRequestError("headline is empty; say what happened", ["headline"])
    if event.symbols:
        try:
            check_symbols(event.symbols, 0)
        except MarketDataError as error:
            raise market_data_error(error, event.symbols) from error
    key = events_key()
    with redis_client().pipeline() as pipe:
        pipe.rpush(key, json.dumps(asdict(event)))
        pipe.ltrim(key, -MAX_WAITING, -1)
        pipe.execute()


def take_events() -> Iterator[MarketEvent]:
    """The events posted since the last call."""
    taken: Any = redis_client().lpop(events_key(), MAX_WAITING)
    for text in taken or ():
        document = json.loads(text)
        yield MarketEvent(document["headline"], tuple(document["symbols"]))

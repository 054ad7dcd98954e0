"""Name of a feed → the feed, ready to run."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from marketdata.errors import MarketDataError
from marketdata.feeds.alpaca import AlpacaFeed
from marketdata.feeds.base import Feed
from marketdata.feeds.coinbase import CoinbaseFeed
from marketdata.feeds.replay import ReplayFeed, days_to_play
from marketdata.feeds.simulated import Calibration, Pace, Renew, SimulatedFeed, calibrate
from marketdata.models import Source
from marketdata.price_file import read_histories
from marketdata.quotes import latest_quotes
from marketdata.sample import sample_histories
from marketdata.selectors import current_data_version, real_symbols

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """What the command line says about a feed.

    Attributes:
        symbols: What to bring; None for the feed's own choice.
        rate: Batches a second; for a replay, days a second.
        seed: Seed of everything random; None for a fresh one.
        file: CSV file of a replay; None for the sample market.
    """

    symbols: tuple[str, ...] | None = None
    rate: float = 1.0
    seed: int | None = None
    file: Path | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and 0 < self.rate <= 1000):
            raise MarketDataError(f"rate is {self.rate}; it must be above 0 and at most 1000")


def build_feed(name: str, options: FeedOptions) -> Feed:
    """The feed called ``name``.

    Raises:
        MarketDataError: No such feed, or it cannot start; says what is missing.
    """
    builder = FEEDS.get(name)
    if builder is None:
        raise MarketDataError(f"no feed is called {name!r}; there are {', '.join(FEEDS)}")
    return builder(options)


def _simulated(options: FeedOptions) -> Feed:
    return SimulatedFeed(
        calibrate(options.symbols, latest_quotes()),
        Pace(interval=1.0 / options.rate),
        np.random.default_rng(options.seed),
        renew=_renewal(options.symbols),
    )


def _renewal(symbols: tuple[str, ...] | None) -> Renew:
    """Looks for a new data version: imported bars move the closes that ticks stay near."""
    version = current_data_version()

    def look() -> Calibration | None:
        nonlocal version
        try:
            newest = current_data_version()
            calibration = calibrate(symbols, latest_quotes()) if newest != version else None
        except (MarketDataError, RedisError, DatabaseError) as error:
            logger.warning("feed simulated: keeps the closes it has: %s", error)
            return None
        version = newest
        return calibration

    return sync_to_async(look)


def _replay(options: FeedOptions) -> Feed:
    if options.file is None:
        histories = sample_histories()
    else:
        histories = read_histories(options.file, Source.REAL, lambda _position: None)
    return ReplayFeed(days_to_play(histories, options.symbols), 1.0 / options.rate)


def _alpaca(options: FeedOptions) -> Feed:
    if not (settings.ALPACA_KEY_ID and settings.ALPACA_SECRET_KEY):
        raise MarketDataError("set ALPACA_KEY_ID and ALPACA_SECRET_KEY to the keys of your account")
    symbols = options.symbols or real_symbols()
    if not symbols:
        raise MarketDataError("no real symbol is loaded; name some with --symbols or FEED_SYMBOLS")
    return AlpacaFeed(
        url=settings.ALPACA_URL,
        key_id=settings.ALPACA_KEY_ID,
        secret_key=settings.ALPACA_SECRET_KEY,
        symbols=symbols,
    )


def _coinbase(options: FeedOptions) -> Feed:
    if not options.symbols:
        raise MarketDataError("name products with --symbols or FEED_SYMBOLS, e.g. BTC-USD,ETH-USD")
    return CoinbaseFeed(url=settings.COINBASE_URL, products=options.symbols)


FEEDS: dict[str, Callable[[FeedOptions], Feed]] = {
    "simulated": _simulated,
    "replay": _replay,
    "alpaca": _alpaca,
    "coinbase": _coinbase,
}

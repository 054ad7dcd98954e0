"""Name of a feed → the feed, ready to run."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marketdata.errors import MarketDataError
from marketdata.feeds.base import Feed
from marketdata.feeds.simulated import Pace, SimulatedFeed, calibrate
from marketdata.quotes import latest_quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """What the command line says about a feed.

    Attributes:
        symbols: What to bring; None for the feed's own choice.
        rate: Batches a second; for a replay, days a second.
        seed: Seed of everything random; None for a fresh one.
    """

    symbols: tuple[str, ...] | None = None
    rate: float = 1.0
    seed: int | None = None

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
    )


FEEDS: dict[str, Callable[[FeedOptions], Feed]] = {"simulated": _simulated}

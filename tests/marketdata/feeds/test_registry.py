"""Feeds by name."""

import datetime as dt
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.errors import InvalidPricesError, MarketDataError
from marketdata.feeds.alpaca import AlpacaFeed
from marketdata.feeds.coinbase import CoinbaseFeed
from marketdata.feeds.registry import FEEDS, FeedOptions, build_feed
from marketdata.feeds.replay import ReplayFeed
from marketdata.feeds.simulated import SimulatedFeed
from marketdata.models import DataVersion
from marketdata.services import append_bars


def test_an_unknown_name_lists_the_feeds() -> None:
    with pytest.raises(MarketDataError, match="simulated, replay, alpaca, coinbase"):
        build_feed("bloomberg", FeedOptions())


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1001.0])
def test_a_rate_is_checked(rate: float) -> None:
    with pytest.raises(MarketDataError, match="must be above 0 and at most 1000"):
        FeedOptions(rate=rate)


def test_the_simulated_feed_takes_rate_and_symbols(
    market: DataVersion, redis_server: Redis
) -> None:
    feed = build_feed("simulated", FeedOptions(symbols=("KO", "AAPL"), rate=10.0, seed=1))
    assert isinstance(feed, SimulatedFeed)
    assert feed.pace.interval == 0.1
    assert feed.calibration.symbols == ("KO", "AAPL")


def test_the_simulated_feed_follows_new_bars(market: DataVersion, redis_server: Redis) -> None:
    feed = build_feed("simulated", FeedOptions())
    assert isinstance(feed, SimulatedFeed)
    renew = async_to_sync(feed.renew)
    assert renew() is None
    append_bars(dt.date(2022, 12, 29), dict.fromkeys(feed.calibration.symbols, 77.0), reason="new")
    newer = renew()
    assert newer is not None
    assert set(newer.closes) == {77.0}
    assert renew() is None


def test_the_alpaca_feed_needs_keys(market: DataVersion, settings: Settings) -> None:
    with pytest.raises(MarketDataError, match="set ALPACA_KEY_ID and ALPACA_SECRET_KEY"):
        build_feed("alpaca", FeedOptions())
    settings.ALPACA_KEY_ID, settings.ALPACA_SECRET_KEY = "id", "secret"
    feed = build_feed("alpaca", FeedOptions())
    assert isinstance(feed, AlpacaFeed)
    assert feed.symbols == ("AAPL", "JPM", "KO", "MSFT", "PFE", "XOM")
    assert feed.url == "wss://stream.data.alpaca.markets/v2/iex"


def test_the_alpaca_feed_needs_symbols(db: None, settings: Settings) -> None:
    settings.ALPACA_KEY_ID, settings.ALPACA_SECRET_KEY = "id", "secret"
    with pytest.raises(MarketDataError, match="FEED_SYMBOLS"):
        build_feed("alpaca", FeedOptions())


def test_the_coinbase_feed_needs_products() -> None:
    with pytest.raises(MarketDataError, match="BTC-USD"):
        build_feed("coinbase", FeedOptions())
    feed = build_feed("coinbase", FeedOptions(symbols=("BTC-USD",)))
    assert isinstance(feed, CoinbaseFeed)


def test_the_replay_plays_a_file(market: DataVersion, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text("date,AAPL,KO,NEW\n2022-12-28,1,1,1\n2022-12-29,130,63,1\n2022-12-30,131,,2\n")
    feed = build_feed("replay", FeedOptions(rate=2.0, file=path))
    assert isinstance(feed, ReplayFeed)
    assert feed.interval == 0.5
    assert [(day.date, day.closes) for day in feed.days] == [
        (dt.date(2022, 12, 29), {"AAPL": 130.0, "KO": 63.0}),
        (dt.date(2022, 12, 30), {"AAPL": 131.0}),
    ]
    path.write_text("date,AAPL\n2022-12-29,x\n")
    with pytest.raises(InvalidPricesError, match="line 2"):
        build_feed("replay", FeedOptions(file=path))


def test_every_feed_says_its_own_name(
    market: DataVersion, settings: Settings, redis_server: Redis
) -> None:
    settings.ALPACA_KEY_ID, settings.ALPACA_SECRET_KEY = "id", "secret"
    for name in FEEDS:
        assert build_feed(name, FeedOptions(symbols=("AAPL",))).name == name

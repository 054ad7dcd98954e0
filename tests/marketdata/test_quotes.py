"""The newest quotes."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.models import Source
from marketdata.quotes import Quote, feed_status, latest_quotes, record_quotes
from marketdata.redis_client import redis_key
from marketdata.signals import tick_recorded

pytestmark = pytest.mark.usefixtures("redis_server")


def quote(symbol: str, price: float, timestamp: float = 1_700_000_000.25) -> Quote:
    return Quote(symbol, price, timestamp, Source.SIMULATED, "simulated")


@pytest.fixture
def heard() -> Iterator[list[Mapping[str, Quote]]]:
    news: list[Mapping[str, Quote]] = []

    def listen(sender: Any, quotes: Mapping[str, Quote], **_: Any) -> None:
        news.append(quotes)

    tick_recorded.connect(listen)
    yield news
    tick_recorded.disconnect(listen)


def test_the_newest_quote_of_each_symbol_is_kept_and_told(
    heard: list[Mapping[str, Quote]],
) -> None:
    written = record_quotes([quote("AAPL", 1.0), quote("KO", 2.0), quote("AAPL", 0.1 + 0.2)])
    assert written == {"AAPL": quote("AAPL", 0.1 + 0.2), "KO": quote("KO", 2.0)}
    assert latest_quotes() == written
    assert heard == [written]


def test_some_symbols_can_be_asked_for() -> None:
    record_quotes([quote("AAPL", 1.0), quote("KO", 2.0)])
    assert latest_quotes(["KO", "NOPE"]) == {"KO": quote("KO", 2.0)}
    assert latest_quotes([]) == {}


def test_no_quotes_are_no_news(heard: list[Mapping[str, Quote]]) -> None:
    assert record_quotes([]) == {}
    assert heard == []
    assert feed_status().last_tick is None


def test_a_receiver_that_fails_does_not_stop_the_feed(
    heard: list[Mapping[str, Quote]], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("a broken receiver")

    tick_recorded.connect(fail)
    try:
        record_quotes([quote("AAPL", 1.0)])
    finally:
        tick_recorded.disconnect(fail)
    assert latest_quotes(["AAPL"])
    assert len(heard) == 1
    assert "a broken receiver" in caplog.text


def test_a_feed_that_never_ticked_is_stale() -> None:
    status = feed_status()
    assert (status.name, status.last_tick, status.stale, status.ticks) == ("", None, True, 0)


def test_the_feed_goes_stale_after_the_set_time(redis_server: Redis, settings: Settings) -> None:
    record_quotes([quote("AAPL", 1.0), quote("KO", 2.0)])
    record_quotes([quote("AAPL", 1.5)])
    status = feed_status()
    assert (status.name, status.stale, status.ticks) == ("simulated", False, 3)
    long_ago = time.time() - settings.FEED_STALE_SECONDS - 1
    redis_server.hset(redis_key("feed"), "last_tick", str(long_ago))
    # What Redis itself does FEED_STALE_SECONDS after the last tick.
    redis_server.delete(redis_key("feed", "alive"))
    assert feed_status().stale

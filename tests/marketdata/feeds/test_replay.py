"""The replay feed."""

import asyncio
import datetime as dt
from collections.abc import Sequence

import numpy as np
import pytest
from redis import Redis

from marketdata.errors import MarketDataError
from marketdata.feeds.base import Backoff, Recorder, run
from marketdata.feeds.replay import Day, ReplayFeed, append_day, days_to_play
from marketdata.models import DataVersion, Source
from marketdata.quarantine import TickFilter
from marketdata.quotes import Quote, latest_quotes
from marketdata.sample import sample_histories
from marketdata.selectors import current_data_version, return_window
from marketdata.services import History, histories_store

UNTIL = dt.date(2022, 12, 20)


@pytest.fixture
def earlier(transactional_db: None, panels: object) -> DataVersion:
    wanted = {"AAPL", "MSFT", "GOOGL"}
    histories = [
        History(
            symbol=history.symbol,
            source=history.source,
            dates=history.dates[-100:],
            closes=history.closes[-100:],
        )
        for history in sample_histories(UNTIL)
        if history.symbol in wanted
    ]
    return histories_store(histories, reason="until a week before the end")


@pytest.fixture
def days(earlier: DataVersion, sample: list[History]) -> tuple[Day, ...]:
    return days_to_play(sample, None)


async def test_a_played_day_is_a_tick_at_its_close_and_then_a_bar(
    days: tuple[Day, ...], sample: list[History], redis_server: Redis
) -> None:
    heard: list[tuple[str, float]] = []
    order: list[str] = []

    async def sink(batch: Sequence[Quote]) -> None:
        heard.extend((quote.symbol, quote.price) for quote in batch)
        order.append("ticks")

    async def append(day: Day) -> None:
        order.append("bar")
        await append_day(day)

    feed = ReplayFeed(days, 0.0, append)
    await run(feed, sink, Backoff(), np.random.default_rng(1))
    closes = {h.symbol: dict(zip(h.dates, h.closes, strict=True)) for h in sample}
    assert [day.date for day in days] == [d for d in closes["AAPL"] if d > UNTIL]
    expected = [(s, closes[s][d.date]) for d in days for s in d.closes]
    assert heard == expected
    assert order == ["ticks", "bar"] * len(days)


@pytest.fixture
def played(days: tuple[Day, ...], earlier: DataVersion, redis_server: Redis) -> list[str]:
    """The data versions after each day that was played and recorded."""
    asyncio.run(
        run(ReplayFeed(days, 0.0), Recorder(TickFilter()), Backoff(), np.random.default_rng(1))
    )
    return list(DataVersion.objects.order_by("pk").values_list("name", flat=True))


def test_after_the_replay_the_window_is_that_of_the_whole_history(
    played: list[str], days: tuple[Day, ...], sample: list[History]
) -> None:
    assert len(played) == 1 + len(days)
    assert current_data_version() == played[-1]
    window = return_window(["MSFT", "GOOGL"], 60)
    whole = {h.symbol: np.array(h.closes[-61:]) for h in sample}
    for column, symbol in enumerate(window.symbols):
        closes = whole[symbol]
        np.testing.assert_array_equal(window.returns[:, column], closes[1:] / closes[:-1] - 1)
    assert window.end == days[-1].date
    assert return_window(["MSFT"], 60, played[0]).end == UNTIL
    quotes = latest_quotes()
    assert {s: q.source for s, q in quotes.items()} == {
        "AAPL": Source.REAL,
        "MSFT": Source.REAL,
        "GOOGL": Source.SIMULATED,
    }
    assert {quote.feed for quote in quotes.values()} == {"replay"}


def test_some_symbols_can_be_played_alone(earlier: DataVersion, sample: list[History]) -> None:
    for day in days_to_play(sample, ("MSFT",)):
        assert list(day.closes) == ["MSFT"]


def test_a_symbol_from_another_source_is_not_mixed_in(earlier: DataVersion) -> None:
    mine = History(symbol="GOOGL", source=Source.REAL, dates=[dt.date(2023, 1, 2)], closes=[1.0])
    with pytest.raises(MarketDataError, match="load their earlier days first"):
        days_to_play([mine], None)


def test_nothing_loaded_is_a_clear_error(db: None, sample: list[History]) -> None:
    with pytest.raises(MarketDataError, match="load their earlier days first"):
        days_to_play(sample, None)


async def test_the_end_of_history_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def sink(batch: Sequence[Quote]) -> None:
        raise AssertionError(batch)

    await run(ReplayFeed((), 0.0), sink, Backoff(), np.random.default_rng(1))
    assert "no day is left after the last bar" in caplog.text

"""The loop that runs a feed."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np
import pytest
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.feeds.base import (
    Backoff,
    FeedInterruptedError,
    FeedRefusedError,
    Recorder,
    run,
)
from marketdata.models import QuarantinedTick, Source
from marketdata.quarantine import TickFilter
from marketdata.quotes import Quote, latest_quotes

NOW = 1_700_000_000.0
AT_ONCE = Backoff(first=0.0)


def tick(price: float, timestamp: float = NOW) -> Quote:
    return Quote("AAPL", price, timestamp, Source.REAL, "script")


class Script:
    """A feed that does what its lines say: a batch, or an error to raise; then it ends."""

    name = "script"

    def __init__(self, *connections: list[list[Quote] | Exception]) -> None:
        self.connections = list(connections)

    async def batches(self) -> AsyncGenerator[Sequence[Quote], None]:
        for line in self.connections.pop(0):
            if isinstance(line, Exception):
                raise line
            yield line


class Sink:
    def __init__(self) -> None:
        self.prices: list[float] = []

    async def __call__(self, batch: Sequence[Quote]) -> None:
        self.prices += [quote.price for quote in batch]


async def test_a_feed_that_breaks_is_connected_again() -> None:
    broken = FeedInterruptedError("gone")
    sink = Sink()
    feed = Script([[tick(1)], broken], [broken], [[tick(2)], [tick(3)]])
    await run(feed, sink, AT_ONCE, np.random.default_rng(1))
    assert sink.prices == [1, 2, 3]


async def test_a_refusal_ends_the_run() -> None:
    feed = Script([FeedRefusedError("auth failed")])
    with pytest.raises(FeedRefusedError, match="auth failed"):
        await run(feed, Sink(), AT_ONCE, np.random.default_rng(1))


async def test_a_cancelled_run_closes_the_feed() -> None:
    closed = asyncio.Event()
    begun = asyncio.Event()

    class Endless:
        name = "endless"

        async def batches(self) -> AsyncGenerator[Sequence[Quote], None]:
            try:
                yield [tick(1)]
                begun.set()
                await asyncio.Event().wait()
            finally:
                closed.set()

    running = asyncio.ensure_future(run(Endless(), Sink(), AT_ONCE, np.random.default_rng(1)))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed.is_set()


def test_waits_double_up_to_the_longest_with_jitter() -> None:
    backoff = Backoff(first=1.0, longest=8.0)
    rng = np.random.default_rng(3)
    for attempt, bound in enumerate([1, 2, 4, 8, 8, 8], start=1):
        delays = [backoff.delay(attempt, rng) for _ in range(50)]
        assert bound / 2 <= min(delays) < max(delays) <= bound
    assert backoff.delay(10_000, rng) <= 8.0


@pytest.mark.django_db(transaction=True)
async def test_good_ticks_are_recorded_and_bad_ones_quarantined(redis_server: Redis) -> None:
    record = Recorder(TickFilter(), clock=lambda: NOW)
    await record([tick(100.0), tick(float("nan")), tick(-1.0, NOW + 1), tick(101.0, NOW + 2)])
    assert latest_quotes()["AAPL"].price == 101.0
    rows = QuarantinedTick.objects.order_by("pk").values_list(
        "symbol", "price", "previous_price", "reason", "feed"
    )
    assert [row async for row in rows] == [
        ("AAPL", "nan", 100.0, "not_a_number", "script"),
        ("AAPL", "-1.0", 100.0, "not_positive", "script"),
    ]


@pytest.mark.django_db(transaction=True)
async def test_the_feed_survives_while_redis_is_away(
    redis_server: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    record = Recorder(TickFilter(), clock=lambda: NOW)
    here, settings.REDIS_URL = settings.REDIS_URL, "unix:///nowhere/valkey.sock"
    await record([tick(100.0)])
    await record([tick(101.0, NOW + 1)])
    settings.REDIS_URL = here
    await record([tick(102.0, NOW + 2)])
    assert latest_quotes()["AAPL"].price == 102.0
    told = [record.message for record in caplog.records if record.name == "marketdata.feeds.base"]
    assert len(told) == 2
    assert told[0].startswith("quotes are not recorded: ")
    assert told[1] == "quotes are recorded again"


@pytest.mark.django_db
def test_the_quarantine_keeps_the_newest(settings: Settings) -> None:
    from marketdata.services import ticks_quarantine

    settings.QUARANTINE_KEEP = 3
    rules = TickFilter()
    for price in (-1.0, -2.0, -3.0, -4.0, -5.0):
        ticks_quarantine(rules.sort([tick(price)], NOW).refused)
    kept = QuarantinedTick.objects.values_list("price", flat=True)
    assert list(kept) == ["-5.0", "-4.0", "-3.0"]

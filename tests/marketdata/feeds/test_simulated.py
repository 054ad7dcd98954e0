"""The simulated feed."""

from contextlib import aclosing

import numpy as np
import pytest

from marketdata.errors import MarketDataError, UnknownSymbolError
from marketdata.feeds.simulated import Calibration, Pace, SimulatedFeed, calibrate
from marketdata.models import Bar, DataVersion, Source
from marketdata.quotes import Quote
from marketdata.selectors import return_window

SYMBOLS = ("A", "B", "C")


def calibration(days: int = 60) -> Calibration:
    rng = np.random.default_rng(9)
    mix = np.array([[1.0, 0.8, 0.1], [0.0, 0.5, 0.0], [0.0, 0.0, 2.0]])
    returns = 0.001 + 0.01 * rng.standard_normal((days, 3)) @ mix
    return Calibration(SYMBOLS, np.array([10.0, 100.0, 1000.0]), returns, np.zeros(3))


async def take(feed: SimulatedFeed, count: int) -> np.ndarray:
    prices = []
    async with aclosing(feed.batches()) as batches:
        async for batch in batches:
            prices.append([quote.price for quote in batch])
            if len(prices) == count:
                break
    return np.array(prices)


def feed(seed: int = 1, **pace: float) -> SimulatedFeed:
    return SimulatedFeed(
        calibration(),
        Pace(**({"interval": 0.0} | pace)),
        np.random.default_rng(seed),
        clock=lambda: 1_700_000_000.0,
    )


async def test_every_quote_says_that_it_is_simulated() -> None:
    async with aclosing(feed().batches()) as batches:
        batch = await anext(batches)
    assert [quote.symbol for quote in batch] == list(SYMBOLS)
    assert {(quote.source, quote.feed) for quote in batch} == {(Source.SIMULATED, "simulated")}
    assert {quote.timestamp for quote in batch} == {1_700_000_000.0}


async def test_the_same_seed_gives_the_same_ticks_and_another_one_others() -> None:
    first, again, other = await take(feed(1), 20), await take(feed(1), 20), await take(feed(2), 20)
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


async def test_it_starts_at_the_last_closes() -> None:
    prices = await take(feed(), 1)
    np.testing.assert_allclose(prices[0], [10, 100, 1000], rtol=1e-3)


async def test_ticks_have_the_covariance_of_the_real_returns() -> None:
    # A tick is a thousandth of a second; with a hundredth as the day, ten ticks are a day.
    prices = await take(feed(day_seconds=0.01, pull=1e9), 20_001)
    moves = np.diff(np.log(prices), axis=0)
    expected = np.cov(calibration().returns.T) / 10
    np.testing.assert_allclose(np.cov(moves.T), expected, rtol=0.06, atol=2e-7)


async def test_however_long_it_runs_it_stays_near_the_close() -> None:
    prices = await take(feed(day_seconds=0.01), 20_000)
    deviations = np.log(prices / np.array([10.0, 100.0, 1000.0])).std(axis=0)
    daily = calibration().returns.std(axis=0, ddof=1)
    # The stationary deviation of the process is √(pull / 2) daily deviations: two of them.
    np.testing.assert_allclose(deviations, 2.0 * daily, rtol=0.25)


@pytest.fixture
def real(market: DataVersion) -> Calibration:
    return calibrate(None, {})


async def test_a_move_of_one_per_cent_comes_within_a_minute_or_two(real: Calibration) -> None:
    waits: list[int] = []
    for seed in range(10):
        # A tick of an unpaced feed is worth a millisecond; with a thousandth of the default day,
        # it is what a second is to the default pace.
        fast = Pace(interval=0.0, day_seconds=Pace().day_seconds / 1000)
        ticks = SimulatedFeed(real, fast, np.random.default_rng(seed))
        moves = np.abs(await take(ticks, 400) / real.closes - 1.0) >= 0.01
        waits += [int(np.argmax(column)) if column.any() else 400 for column in moves.T]
    assert 20 <= np.median(waits) <= 120


async def test_newer_closes_are_taken_over_while_it_runs() -> None:
    split = Calibration(SYMBOLS, np.array([5.0, 50.0, 500.0]), calibration().returns, np.zeros(3))
    answers = [None, split, None, None]

    async def renew() -> Calibration | None:
        return answers.pop(0)

    pace = Pace(interval=0.0, renew_seconds=0.0)
    ticks = SimulatedFeed(calibration(), pace, np.random.default_rng(1), renew=renew)
    prices = await take(ticks, 4)
    np.testing.assert_allclose(prices[1], [10, 100, 1000], rtol=1e-2)
    np.testing.assert_allclose(prices[2], [5, 50, 500], rtol=1e-2)
    np.testing.assert_allclose(prices[3], [5, 50, 500], rtol=1e-2)


def test_it_is_calibrated_on_the_real_returns(market: DataVersion) -> None:
    start = calibrate(("MSFT", "AAPL"), {})
    window = return_window(["MSFT", "AAPL"], 252)
    np.testing.assert_array_equal(start.returns, window.returns)
    np.testing.assert_array_equal(start.closes, window.last_closes)
    assert start.offsets.tolist() == [0.0, 0.0]


def test_it_continues_the_ticks_of_its_own_earlier_run(market: DataVersion) -> None:
    closes = return_window(["MSFT", "AAPL", "KO"], 1).last_closes
    quotes = {
        "MSFT": Quote("MSFT", closes[0] * 1.01, 0.0, Source.SIMULATED, "simulated"),
        "AAPL": Quote("AAPL", closes[1] * 1.01, 0.0, Source.REAL, "alpaca"),
        "KO": Quote("KO", closes[2] * 9.0, 0.0, Source.SIMULATED, "simulated"),
    }
    start = calibrate(("MSFT", "AAPL", "KO"), quotes)
    np.testing.assert_allclose(start.offsets, [np.log(1.01), 0.0, 0.0])


def test_it_makes_no_bars(market: DataVersion) -> None:
    before = Bar.objects.count()
    calibrate(None, {})
    assert Bar.objects.count() == before


def test_unknown_symbols_are_refused(market: DataVersion) -> None:
    with pytest.raises(UnknownSymbolError, match="NOPE"):
        calibrate(("AAPL", "NOPE"), {})
    with pytest.raises(MarketDataError, match="21 bars"):
        calibrate((), {})


@pytest.mark.parametrize("changes", [{"interval": -1.0}, {"day_seconds": 0.0}, {"pull": 0.0}])
def test_a_pace_is_checked_when_built(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Pace(**changes)


def test_a_calibration_is_checked_when_built() -> None:
    with pytest.raises(ValueError, match="per symbol"):
        Calibration(SYMBOLS, np.ones(2), np.ones((5, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="two rows"):
        Calibration(SYMBOLS, np.ones(3), np.ones((1, 3)), np.zeros(3))

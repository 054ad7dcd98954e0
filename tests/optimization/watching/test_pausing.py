"""Paused triggers submit nothing, and lose nothing."""

from collections.abc import Iterator

import pytest

from marketdata.models import Source
from marketdata.quotes import Quote
from marketdata.selectors import return_window
from marketdata.signals import tick_recorded
from optimization.models import OptimizationRequest
from optimization.submissions import Owner
from optimization.watching.pausing import triggers_pause, triggers_paused, triggers_resume
from optimization.watching.portfolios import WatchOrder, portfolio_watch
from optimization.watching.rules import PriceChangeRule
from optimization.watching.watcher import Watcher, watch_tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server", "market")]

SYMBOLS = ("AAPL", "KO")


@pytest.fixture(autouse=True)
def _only_the_tests_own_watcher() -> Iterator[None]:
    tick_recorded.disconnect(watch_tick)
    yield
    tick_recorded.connect(watch_tick)


def _tick(watcher: Watcher, factor: float) -> int:
    """Move every price and return how many requests there are then."""
    closes = return_window(SYMBOLS, 2).last_closes
    watcher.on_tick(
        {
            symbol: Quote(symbol, close * factor, 2e9, Source.SIMULATED, "test")
            for symbol, close in zip(SYMBOLS, closes.tolist(), strict=True)
        }
    )
    return OptimizationRequest.objects.count()


def test_a_paused_trigger_waits_and_runs_once_when_resumed() -> None:
    portfolio_watch(
        WatchOrder(
            owner=Owner("local"),
            name="Desk",
            symbols=SYMBOLS,
            parameters={"lookback": 252},
            rules=(PriceChangeRule(threshold=0.01),),
        )
    )
    watcher = Watcher(lambda: 2e9)
    triggers_pause()
    assert triggers_paused()
    assert _tick(watcher, 1.0) == 0
    assert _tick(watcher, 1.05) == 0
    assert _tick(watcher, 1.06) == 0
    triggers_resume()
    assert not triggers_paused()
    assert _tick(watcher, 1.06) == 1

"""Watched portfolios that a first visitor finds, so that the page is alive from the start."""

from collections.abc import Iterator

from optimization.engine.problem import Constraints
from optimization.errors import MarketDataUnavailableError
from optimization.models import Portfolio
from optimization.submissions import LOCAL_OWNER, Owner
from optimization.watching.portfolios import WatchOrder, portfolio_watch
from optimization.watching.rules import PriceChangeRule, RiskAlertRule

SAMPLES = {
    "Sample: big technology": (("AAPL", "GOOGL", "MSFT", "AMZN", "META"), 0.005),
    "Sample: consumer staples": (("KO", "PEP", "PG", "JNJ", "WMT"), 0.01),
    "Sample: energy and banks": (("XOM", "CVX", "JPM", "HD", "BAC"), 0.015),
}
"""Symbols and threshold of each.

Every portfolio runs once in ``OPTIMIZATION_INTERVAL``. The calmer its symbols and the higher its
threshold, the later it first fires, so that their turns lie apart and a visitor who comes just
after one does not wait for as long as that.
"""


def watch_sample_portfolios() -> list[Portfolio]:
    """Watch the sample portfolios unless one was watched before; only for local mode.

    A market that was imported without the symbols of one does without it.
    """
    if Portfolio.objects.filter(owner=LOCAL_OWNER).exists():
        return []
    return list(_watch())


def _watch() -> Iterator[Portfolio]:
    for name, (symbols, threshold) in SAMPLES.items():
        order = WatchOrder(
            owner=Owner(LOCAL_OWNER),
            name=name,
            symbols=symbols,
            constraints=Constraints(max_weight=0.4),
            rules=(
                PriceChangeRule(threshold=threshold),
                RiskAlertRule(measure="concentration", limit=0.6),
            ),
        )
        try:
            yield portfolio_watch(order)
        except MarketDataUnavailableError:
            continue

"""A watched portfolio that a first visitor finds, so that the page is alive from the start."""

from optimization.engine.problem import Constraints
from optimization.errors import MarketDataUnavailableError
from optimization.models import Portfolio
from optimization.submissions import LOCAL_OWNER, Owner
from optimization.watching.portfolios import WatchOrder, portfolio_watch
from optimization.watching.rules import PriceChangeRule, RiskAlertRule

NAME = "Sample: big technology"
SYMBOLS = ("AAPL", "GOOGL", "MSFT", "AMZN", "META")


def watch_sample_portfolio() -> Portfolio | None:
    """Watch the sample portfolio unless one was watched before; only for local mode.

    Its threshold is half a percent, which the simulated feed reaches within a minute. A market
    that was imported without these symbols has none.
    """
    if Portfolio.objects.filter(owner=LOCAL_OWNER).exists():
        return None
    order = WatchOrder(
        owner=Owner(LOCAL_OWNER),
        name=NAME,
        symbols=SYMBOLS,
        constraints=Constraints(max_weight=0.4),
        rules=(
            PriceChangeRule(threshold=0.005),
            RiskAlertRule(measure="concentration", limit=0.6),
        ),
    )
    try:
        return portfolio_watch(order)
    except MarketDataUnavailableError:
        return None

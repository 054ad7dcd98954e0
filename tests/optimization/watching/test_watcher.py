"""Watched portfolios: which tick makes which rule fire, and what follows."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytest_django.fixtures import Settings
from redis.exceptions import ConnectionError as RedisConnectionError

from marketdata.models import DataVersion, Source
from marketdata.quotes import Quote, record_quotes
from marketdata.selectors import return_window
from marketdata.services import append_bars
from marketdata.signals import tick_recorded
from optimization import signals
from optimization.errors import InvalidRequestError, UnknownPortfolioError
from optimization.models import OptimizationRequest, Portfolio, Status, Trigger
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from optimization.watching import portfolios
from optimization.watching.events import MarketEvent, event_post
from optimization.watching.portfolios import WatchOrder, portfolio_unwatch, portfolio_watch
from optimization.watching.rules import (
    CorrelationRule,
    CustomRule,
    NewsRule,
    PriceChangeRule,
    RiskAlertRule,
    Rule,
    TimeBasedRule,
)
from optimization.watching.watcher import Watcher, watch_tick
from streaming.receivers import tell_risk_breach
from tests.working import run_next

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server", "market")]

SYMBOLS = ("AAPL", "KO", "MSFT")
OWNER = Owner("local")


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _only_the_tests_own_watcher() -> Iterator[None]:
    """The process' own watcher, on the real clock, would act on the same ticks."""
    tick_recorded.disconnect(watch_tick)
    yield
    tick_recorded.connect(watch_tick)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(clock: Clock) -> Watcher:
    return Watcher(clock)


@pytest.fixture
def alerts() -> Iterator[list[dict[str, Any]]]:
    """The risk alerts that were told."""
    heard: list[dict[str, Any]] = []

    def hear(breach: dict[str, Any], **_kwargs: Any) -> None:
        heard.append(breach)

    signals.risk_breached.connect(hear)
    yield heard
    signals.risk_breached.disconnect(hear)


def watch(*rules: Rule, **content: Any) -> Portfolio:
    order = WatchOrder(
        owner=OWNER,
        name="Desk",
        symbols=SYMBOLS,
        parameters={"lookback": 252},
        rules=rules,
        **content,
    )
    return portfolio_watch(order)


def closes(factor: float = 1.0) -> dict[str, float]:
    """The last closes, all of them times a factor."""
    window = return_window(SYMBOLS, 252)
    return dict(zip(SYMBOLS, (factor * window.last_closes).tolist(), strict=True))


def tick(watcher: Watcher, clock: Clock, prices: Mapping[str, float]) -> None:
    quotes = {
        symbol: Quote(symbol, price, clock.now, Source.SIMULATED, "test")
        for symbol, price in prices.items()
    }
    record_quotes(quotes.values())
    watcher.on_tick(quotes)


def optimised(watcher: Watcher, clock: Clock) -> tuple[Portfolio, dict[str, float]]:
    """A portfolio whose rule fired and whose optimisation has ended, and the prices at which."""
    portfolio = watch(PriceChangeRule(threshold=0.02))
    moved = closes(1.025)
    tick(watcher, clock, moved)
    run_next(Lane.CONVEX)
    return portfolio, moved


def asked() -> list[OptimizationRequest]:
    return list(OptimizationRequest.objects.order_by("id"))


def test_a_price_change_fires_at_the_tick_that_pandas_names(watcher: Watcher, clock: Clock) -> None:
    watch(PriceChangeRule(threshold=0.03))
    rng = np.random.default_rng(11)
    start = pd.Series(closes())
    path = start * (1 + pd.DataFrame(rng.normal(0, 0.006, (200, 3)), columns=SYMBOLS)).cumprod()
    crossed = ((path / start - 1).abs() >= 0.03).any(axis=1)
    first = int(crossed.to_numpy().argmax())
    assert crossed.iloc[first]
    for row in range(first + 1):
        assert asked() == []
        tick(watcher, clock, dict(zip(SYMBOLS, path.iloc[row].tolist(), strict=True)))
    (request,) = asked()
    assert request.trigger == Trigger.PRICE_CHANGE
    assert request.parameters["include_live"] is True
    assert request.metadata["because"]["value"] == pytest.approx(
        float((path.iloc[first] / start - 1).abs().max())
    )


def test_the_result_becomes_the_new_base_and_rebalances_a_paper_portfolio(
    watcher: Watcher, clock: Clock, settings: Settings
) -> None:
    settings.OPTIMIZATION_INTERVAL = 60.0
    portfolio, moved = optimised(watcher, clock)
    portfolio.refresh_from_db()
    (request,) = asked()
    assert request.status == Status.SUCCEEDED
    assert request.result is not None
    assert portfolio.base_prices == pytest.approx(list(moved.values()))
    values = np.array(portfolio.shares) * np.array(list(moved.values()))
    weights = dict(zip(SYMBOLS, (values / values.sum()).tolist(), strict=True))
    assert weights == pytest.approx(request.result["weights"], abs=1e-12)
    clock.now += 61
    tick(watcher, clock, {symbol: price * 1.01 for symbol, price in moved.items()})
    assert len(asked()) == 1
    tick(watcher, clock, {symbol: price * 1.021 for symbol, price in moved.items()})
    assert len(asked()) == 2


def test_a_result_that_could_not_be_taken_over_is_taken_over_at_the_next_tick(
    watcher: Watcher, clock: Clock, settings: Settings
) -> None:
    settings.OPTIMIZATION_INTERVAL = 60.0
    portfolio, moved = optimised(watcher, clock)
    mine = Portfolio.objects.filter(pk=portfolio.pk)
    mine.update(symbols=["NOBODY"])
    clock.now += 61
    tick(watcher, clock, moved)
    mine.update(symbols=list(SYMBOLS))
    tick(watcher, clock, moved)
    assert len(asked()) == 1


def test_held_shares_stay_what_their_owner_said(watcher: Watcher, clock: Clock) -> None:
    portfolio = watch(PriceChangeRule(threshold=0.02), holdings={"AAPL": 10, "KO": 5})
    tick(watcher, clock, closes(1.03))
    run_next(Lane.CONVEX)
    portfolio.refresh_from_db()
    assert portfolio.shares == [10.0, 5.0, 0.0]
    assert sum(portfolio.target_weights) == pytest.approx(1.0)
    standing = portfolios.portfolio_standing(portfolio)
    assert standing.quantities["drift"] == pytest.approx(
        max(abs(standing.weights[s] - standing.target_weights[s]) for s in SYMBOLS)
    )


def test_what_fires_within_the_interval_is_merged_and_never_queued_twice(
    watcher: Watcher, clock: Clock, settings: Settings
) -> None:
    settings.OPTIMIZATION_INTERVAL = 60.0
    watch(PriceChangeRule(threshold=0.01), CustomRule(expression="drift > 0.0001"))
    prices = closes()
    for step in range(1, 20):
        clock.now += 1
        tick(watcher, clock, {**prices, "AAPL": prices["AAPL"] * (1 + 0.02 * step)})
    assert len(asked()) == 1
    run_next(Lane.CONVEX)
    tick(watcher, clock, {**prices, "AAPL": prices["AAPL"] * 1.5})
    assert len(asked()) == 1
    clock.now += 60
    tick(watcher, clock, {**prices, "AAPL": prices["AAPL"] * 1.5})
    assert len(asked()) == 2


def test_a_risk_alert_is_told_once_until_the_measure_was_below_its_limit(
    watcher: Watcher, clock: Clock, alerts: list[dict[str, Any]]
) -> None:
    watch(RiskAlertRule(measure="concentration", limit=0.4))
    prices = closes()
    calm, skewed = prices, {**prices, "AAPL": prices["AAPL"] * 2.0}
    for now in (calm, skewed, skewed, calm, skewed):
        clock.now += 1
        tick(watcher, clock, now)
    assert [alert["quantity"] for alert in alerts] == ["concentration", "concentration"]
    assert alerts[0]["value"] == pytest.approx(0.5)
    assert asked()[0].trigger == Trigger.RISK_ALERT


def test_an_alert_that_could_not_be_told_is_told_at_the_next_tick(
    watcher: Watcher, clock: Clock, alerts: list[dict[str, Any]]
) -> None:
    away = [True]

    def hinder(**_kwargs: Any) -> None:
        if away:
            raise RedisConnectionError("away")

    signals.risk_breached.disconnect(tell_risk_breach)
    signals.risk_breached.connect(hinder)
    try:
        watch(RiskAlertRule(measure="concentration", limit=0.4))
        skewed = {**closes(), "AAPL": closes()["AAPL"] * 2.0}
        tick(watcher, clock, skewed)
        assert asked() == []
        away.clear()
        alerts.clear()
        tick(watcher, clock, skewed)
    finally:
        signals.risk_breached.disconnect(hinder)
        signals.risk_breached.connect(tell_risk_breach)
    assert len(alerts) == 1
    assert alerts[0]["prices"] == pytest.approx(skewed)
    assert len(asked()) == 1


def test_what_the_full_queue_refuses_is_asked_for_again(
    watcher: Watcher, clock: Clock, settings: Settings
) -> None:
    settings.MAX_QUEUE_SIZE = 1
    lookback = {"lookback": 252}
    request_submit(
        Submission(owner=OWNER, client_id="test", symbols=("AAPL", "KO"), parameters=lookback)
    )
    watch(PriceChangeRule(threshold=0.02))
    moved = closes(1.03)
    tick(watcher, clock, moved)
    assert len(asked()) == 1
    run_next(Lane.CONVEX)
    tick(watcher, clock, moved)
    assert [request.trigger for request in asked()] == [Trigger.MANUAL, Trigger.PRICE_CHANGE]


def test_automatic_runs_leave_half_of_the_queue_to_those_who_ask(
    watcher: Watcher, clock: Clock, settings: Settings
) -> None:
    settings.MAX_QUEUE_SIZE = 4
    watched = [watch(PriceChangeRule(threshold=0.02)).portfolio_id for _ in range(4)]
    moved = closes(1.03)
    tick(watcher, clock, moved)
    tick(watcher, clock, moved)
    assert [request.portfolio_id for request in asked()] == watched[:2]
    run_next(Lane.CONVEX)
    run_next(Lane.CONVEX)
    tick(watcher, clock, moved)
    assert [request.portfolio_id for request in asked()] == watched


def test_watching_another_portfolio_does_not_repeat_an_alert(
    watcher: Watcher, clock: Clock, alerts: list[dict[str, Any]]
) -> None:
    watch(RiskAlertRule(measure="concentration", limit=0.4))
    prices = closes()
    skewed = {**prices, "AAPL": prices["AAPL"] * 2.0}
    tick(watcher, clock, skewed)
    watch(NewsRule())
    tick(watcher, clock, skewed)
    assert len(alerts) == 1
    tick(watcher, clock, prices)
    tick(watcher, clock, skewed)
    assert len(alerts) == 2


def test_an_interval_fires_when_it_is_over(watcher: Watcher, clock: Clock) -> None:
    watch(TimeBasedRule(interval=300))
    tick(watcher, clock, closes())
    (first,) = asked()
    assert first.trigger == Trigger.TIME_BASED
    assert "include_live" not in first.parameters
    run_next(Lane.CONVEX)
    clock.now += 299
    tick(watcher, clock, closes())
    assert len(asked()) == 1
    clock.now += 1
    tick(watcher, clock, closes())
    assert len(asked()) == 2


def test_news_fires_for_those_that_hold_what_it_names(watcher: Watcher, clock: Clock) -> None:
    watch(NewsRule())
    event_post(MarketEvent("Oil falls", ("XOM",)))
    tick(watcher, clock, closes())
    assert asked() == []
    event_post(MarketEvent("Apple reports", ("AAPL", "XOM")))
    tick(watcher, clock, closes())
    (request,) = asked()
    assert request.trigger == Trigger.MARKET_EVENT
    assert request.metadata["because"] == {
        "headline": "Apple reports",
        "at": clock.now,
        "prices": closes(),
    }


def test_a_change_of_correlations_fires_when_new_bars_bring_it(
    watcher: Watcher, clock: Clock, market: DataVersion
) -> None:
    portfolio = watch(CorrelationRule(threshold=0.05))
    tick(watcher, clock, closes())
    assert asked() == []
    before = return_window(SYMBOLS, 60).returns
    prices, day = closes(), market.last_date
    for step in range(20):
        # KO and MSFT move against AAPL, which they never did for long.
        factors = dict(
            zip(SYMBOLS, (1.03, 0.97, 0.97) if step % 2 else (0.97, 1.03, 1.03), strict=True)
        )
        prices = {symbol: price * factors[symbol] for symbol, price in prices.items()}
        day = (pd.Timestamp(day) + pd.offsets.BDay(1)).date()
        append_bars(day, prices, reason="test")
    after = return_window(SYMBOLS, 60).returns
    change = (pd.DataFrame(after).corr() - pd.DataFrame(before).corr()).abs().to_numpy()
    expected = change[np.triu_indices(3, 1)].mean()
    assert expected > 0.05
    tick(watcher, clock, prices)
    (request,) = asked()
    assert request.trigger == Trigger.MARKET_EVENT
    assert request.metadata["because"]["value"] == pytest.approx(expected)
    assert request.portfolio_id == portfolio.portfolio_id


def test_a_portfolio_that_is_watched_no_longer_fires_no_more(
    watcher: Watcher, clock: Clock
) -> None:
    portfolio = watch(PriceChangeRule(threshold=0.01))
    tick(watcher, clock, closes())
    portfolio_unwatch(OWNER, portfolio.portfolio_id)
    tick(watcher, clock, closes(1.5))
    assert asked() == []


def test_nobody_ends_the_watch_of_another_owner() -> None:
    portfolio = watch(NewsRule())
    with pytest.raises(UnknownPortfolioError):
        portfolio_unwatch(Owner("user:7", 7), portfolio.portfolio_id)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"holdings": {"XOM": 1}}, "holdings.XOM"),
        ({"holdings": {"AAPL": 0}}, "holdings"),
        ({"weights": {"AAPL": 0.5}}, "weights"),
    ],
)
def test_an_unsound_order_names_the_field_at_fault(content: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        watch(NewsRule(), **content)
    assert refusal.value.fields == (field,)
    assert not Portfolio.objects.exists()


@pytest.mark.parametrize(
    "make",
    [
        TimeBasedRule,
        lambda: TimeBasedRule(interval=5, cron="* * * * *"),
        lambda: TimeBasedRule(cron="* * *"),
        lambda: TimeBasedRule(cron="61 * * * *"),
        lambda: CustomRule(expression="__import__('os')"),
    ],
)
def test_an_unsound_rule_is_refused_when_it_is_built(make: Any) -> None:
    with pytest.raises(InvalidRequestError):
        make()

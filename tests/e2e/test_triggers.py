"""Real prices are played through the real server; every rule fires at the day that pandas names.

One replay serves all of them: from 2 January 2020 into the crash of March. A rule's first request
says at which prices it fired, and each day's closes are unlike any other day's.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skfolio.datasets import load_sp500_dataset
from websockets.asyncio.client import ClientConnection

from tests.e2e.admin import operator, page
from tests.e2e.client import Frame, ask, kind, receive, until
from tests.e2e.harness import PATIENCE, ROOT, Server, data_folder, manage, serving

pytestmark = pytest.mark.e2e

EVE = pd.Timestamp("2019-12-31")
SYMBOLS = ["AAPL", "JPM", "XOM"]
SHARES = pd.Series({"AAPL": 100.0, "JPM": 60.0, "XOM": 120.0})
LOOKBACK, CORRELATION_DAYS, TAIL = 252, 60, 0.05
RATE = 6
"""Days a second: the rules of time must see a minute of them."""


def first(holds: "pd.Series[bool]") -> pd.Timestamp:
    """The first day of which something holds."""
    assert holds.any()
    return pd.Timestamp(holds.index[int(holds.to_numpy().argmax())])


class Reference:
    """What a holder of the shares would compute on each day, from the closes alone."""

    def __init__(self) -> None:
        self.closes = load_sp500_dataset()[SYMBOLS]
        returns = self.closes.pct_change()
        # The weights at the last completed close, held through the window.
        weights = self.closes.mul(SHARES).shift(1)
        self.weights = weights.div(weights.sum(axis=1), axis=0)
        self.returns = returns
        self.days = self.closes.index[self.closes.index > EVE]

    def past(self, day: pd.Timestamp) -> "pd.Series[float]":
        """The portfolio's returns over the window and ``day`` itself."""
        window = self.returns.loc[:day].iloc[-(LOOKBACK + 1) :]
        daily: pd.Series[float] = (window * self.weights.loc[day]).sum(axis=1)
        return daily

    def volatility(self, day: pd.Timestamp) -> float:
        return float(self.past(day).std() * np.sqrt(252))

    def value_at_risk(self, day: pd.Timestamp) -> float:
        return float(-self.past(day).sort_values().iloc[int(TAIL * (LOOKBACK + 1))])

    def cvar(self, day: pd.Timestamp) -> float:
        """The mean of the worst 5 % of days; the day at the edge counts by its share."""
        worst, mass = self.past(day).sort_values(), TAIL * (LOOKBACK + 1)
        whole = int(mass)
        return float(-(worst.iloc[:whole].sum() + (mass - whole) * worst.iloc[whole]) / mass)

    def drawdown(self, day: pd.Timestamp) -> float:
        wealth = pd.concat([pd.Series([1.0]), (1 + self.past(day)).cumprod()])
        return float(1 - wealth.iloc[-1] / wealth.cummax().iloc[-1])

    def concentration(self, day: pd.Timestamp) -> float:
        values = self.closes.loc[day] * SHARES
        return float((values / values.sum()).max())

    def price_change(self, day: pd.Timestamp) -> float:
        return float((self.closes.loc[day] / self.closes.loc[EVE] - 1).abs().max())

    def value_change(self, day: pd.Timestamp) -> float:
        value = self.closes @ SHARES
        return float(value.loc[day] / value.loc[EVE] - 1)

    def correlation_change(self, day: pd.Timestamp) -> float:
        """Since the eve, over completed days: ``day`` itself has not ended when its tick comes."""
        completed = self.returns.loc[:day].iloc[:-1]
        now = completed.iloc[-CORRELATION_DAYS:].corr()
        then = self.returns.loc[:EVE].iloc[-CORRELATION_DAYS:].corr()
        upper = np.triu_indices(len(SYMBOLS), 1)
        return float((now - then).abs().to_numpy()[upper].mean())

    def series(self, name: str) -> "pd.Series[float]":
        """A quantity on every day of the first quarter."""
        days = self.days[:62]
        return pd.Series([getattr(self, name)(day) for day in days], index=days)

    def rising(self, name: str) -> tuple[float, pd.Timestamp]:
        """A limit that a quantity keeps for four weeks at least, and the day that breaks it."""
        series = self.series(name)
        limit = round(float(series.iloc[:28].max() * 1.1), 6)
        return limit, first(series >= limit)

    def day_of(self, prices: dict[str, float]) -> pd.Timestamp:
        """The day whose closes these are."""
        same = np.isclose(self.closes, pd.Series(prices)[SYMBOLS], rtol=1e-12).all(axis=1)
        (day,) = self.closes.index[same]
        return pd.Timestamp(day)


class Desk:
    """Watches one portfolio per rule, and hears what becomes of them."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.names: dict[str, str] = {}
        self.frames: list[Frame] = []

    async def watch(self, name: str, rule: dict[str, Any]) -> None:
        data = {
            "name": name,
            "symbols": SYMBOLS,
            "holdings": SHARES.to_dict(),
            "objective": "minimize_variance",
            "parameters": {"lookback": LOOKBACK},
            "triggers": [rule],
        }
        reply = await ask(self.socket, {"type": "watch", "data": data})
        assert reply["type"] == "watch", reply
        self.names[reply["data"]["portfolio_id"]] = name

    def results(self) -> dict[str, dict[str, Any]]:
        """The first result of each portfolio, by the portfolio's name."""
        found: dict[str, dict[str, Any]] = {}
        for frame in self.frames:
            if kind(frame) == "optimization_result":
                noted = frame["data"]["metadata"]["request_metadata"]
                # The sample portfolios of every new server are watched, too.
                if name := self.names.get(noted["portfolio_id"]):
                    found.setdefault(name, frame["data"])
        return found

    def alerts(self) -> dict[str, dict[str, Any]]:
        """The first alert of each measure."""
        found: dict[str, dict[str, Any]] = {}
        for frame in self.frames:
            if frame["type"] == "risk_alert" and frame["data"]["portfolio_id"] in self.names:
                found.setdefault(frame["data"]["measure"], frame["data"])
        return found

    async def hear_until_results_of(self, names: set[str]) -> None:
        while not names <= self.results().keys():
            self.frames.append(await receive(self.socket))

    async def hear_until_a_tick(self) -> None:
        self.frames += await until(self.socket, lambda f: f["type"] == "price_update")

    async def hear_until_feed_is(self, stale: bool) -> None:
        self.frames += await until(
            self.socket, lambda f: f["type"] == "feed_status" and f["data"]["stale"] is stale
        )

    def ticks(self) -> "pd.Series[float]":
        """Moments of the ticks, by day."""
        moments: dict[str, float] = {}
        for frame in self.frames:
            if frame["type"] == "price_update":
                points = frame["data"]["prices"]
                moments[json.dumps({s: points[s]["price"] for s in SYMBOLS})] = points["AAPL"][
                    "timestamp"
                ]
        return pd.Series(moments)


@contextmanager
def replaying(server: Server) -> Iterator[None]:
    """The feed, as an operator runs it beside the server."""
    feed = subprocess.Popen(
        [sys.executable, "manage.py", "run_feed", "replay", "--rate", str(RATE)],
        cwd=ROOT,
        env=server.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        assert feed.poll() is None, "the feed ended by itself"
    finally:
        feed.terminate()
        assert feed.wait(PATIENCE) == 0


MEASURES = ("volatility", "value_at_risk", "cvar", "drawdown", "concentration")
CUSTOM = "value_change < -0.12 and volatility > 0.25"
INTERVAL = 12.0


@dataclass
class Played:
    """What one server told of two replays, with a pause between them.

    Attributes:
        reference: What pandas makes of the same prices.
        because: Why and at which tick each portfolio was first optimised, by its name.
        alerts: The first alert of each measure.
        moments: Epoch seconds of the first replay's ticks, by their prices.
        watching: Between which two moments the portfolios were begun to be watched.
        status: The status while the feed was stale.
        page: The admin's page of assets while the feed was stale.
        paused: Frames from the posting of an event to a stale feed's first tick.
    """

    reference: Reference
    because: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    moments: "pd.Series[Any]" = field(default_factory=lambda: pd.Series(dtype=float))
    watching: tuple[float, float] = (0.0, 0.0)
    status: dict[str, Any] = field(default_factory=dict)
    page: str = ""
    paused: list[Frame] = field(default_factory=list)

    def day(self, name: str) -> pd.Timestamp:
        """The day at whose tick a portfolio's rule fired."""
        return self.reference.day_of(self.because[name]["prices"])


def rules_of(reference: Reference) -> dict[str, dict[str, Any]]:
    """A rule of every kind, with limits that the crash breaks and the weeks before it do not."""
    return {
        "price_change": {"kind": "price_change", "threshold": reference.rising("price_change")[0]},
        "correlation": {
            "kind": "correlation",
            "threshold": reference.rising("correlation_change")[0],
        },
        "custom": {"kind": "custom", "expression": CUSTOM},
        "news": {"kind": "news"},
        "interval": {"kind": "time_based", "interval": INTERVAL},
        "cron": {"kind": "time_based", "cron": "* * * * *"},
        **{
            measure: {
                "kind": "risk_alert",
                "measure": measure,
                "limit": reference.rising(measure)[0],
            }
            for measure in MEASURES
        },
    }


async def play(server: Server) -> Played:
    """Play prices until every rule has fired, stop, and play on."""
    played = Played(Reference())
    rules = rules_of(played.reference)
    async with server.connect() as socket:
        await receive(socket)
        desk = Desk(socket)
        begun = time.time()
        for name, rule in rules.items():
            await desk.watch(name, rule)
        played.watching = begun, time.time()
        for topic in ("price_updates", "portfolio_updates", "risk_alerts"):
            await ask(socket, {"type": "subscribe", "data": {"topic": topic}})
        manage(server.data_dir, "post_event", "A quiet day", "KO")
        manage(server.data_dir, "post_event", "Oil falls", "XOM")
        with replaying(server):
            await desk.hear_until_results_of(set(rules))
        await desk.hear_until_feed_is(stale=True)
        played.moments = desk.ticks()
        played.status = json.loads(server.get("/api/v1/streaming/status"))
        played.page = page(operator(server), server, "/admin/marketdata/asset/")
        await desk.watch("later news", {"kind": "news"})
        manage(server.data_dir, "post_event", "Apple reports", "AAPL")
        heard = len(desk.frames)
        with replaying(server):
            await desk.hear_until_a_tick()
            played.paused = desk.frames[heard:]
            await desk.hear_until_feed_is(stale=False)
            await desk.hear_until_results_of({"later news"})
    played.alerts = desk.alerts()
    played.because = {
        name: result["metadata"]["request_metadata"]["because"]
        for name, result in desk.results().items()
    }
    return played


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """The outcome, for all tests of this file."""
    environment = {"OPTIMIZATION_INTERVAL": "3600", "FEED_STALE_SECONDS": "2"}
    with data_folder() as folder:
        manage(folder, "migrate")
        manage(folder, "load_sample_market", "--until", str(EVE.date()))
        with serving(folder, FEED="none", **environment) as server:
            server.wait_ready()
            yield asyncio.run(play(server))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_limit_of_risk_alerts_and_fires_at_the_day_that_pandas_names(
    played: Played, measure: str
) -> None:
    limit, day = played.reference.rising(measure)
    assert played.day(measure) == day
    alert = played.alerts[measure]
    assert alert["limit"] == limit
    value = getattr(played.reference, measure)(day)
    assert alert["value"] == pytest.approx(value, rel=1e-9)
    assert played.because[measure]["value"] == alert["value"]


@pytest.mark.parametrize("name", ["price_change", "correlation_change"])
def test_a_threshold_fires_at_the_day_that_pandas_names(played: Played, name: str) -> None:
    limit, day = played.reference.rising(name)
    rule = name.removesuffix("_change") if name != "price_change" else name
    assert played.day(rule) == day
    value = getattr(played.reference, name)(day)
    assert played.because[rule]["value"] == pytest.approx(value, rel=1e-9)
    assert played.because[rule]["limit"] == limit


def test_a_rule_of_ones_own_fires_at_the_day_that_pandas_names(played: Played) -> None:
    reference = played.reference
    holds = (reference.series("value_change") < -0.12) & (reference.series("volatility") > 0.25)
    assert played.day("custom") == first(holds)


def test_news_fires_at_the_first_tick_after_it_for_those_that_hold_what_it_names(
    played: Played,
) -> None:
    assert played.day("news") == played.reference.days[0]
    assert played.because["news"]["headline"] == "Oil falls"


def test_a_rule_of_time_fires_at_the_first_tick_after_it_is_due(played: Played) -> None:
    interval, cron = played.because["interval"], played.because["cron"]
    begun, watched = played.watching
    assert begun + INTERVAL <= interval["due_at"] <= watched + INTERVAL
    minutes = {pd.Timestamp(moment, unit="s").floor("min") for moment in played.watching}
    assert pd.Timestamp(cron["due_at"], unit="s") - pd.Timedelta("1min") in minutes
    for found in (interval, cron):
        tick = played.moments.index[played.moments >= found["due_at"]][0]
        assert json.loads(tick) == found["prices"]
        assert played.moments[tick] == found["at"]


def test_a_stale_feed_is_told_on_the_wire_in_the_status_and_in_the_admin(played: Played) -> None:
    assert played.status["feed"]["name"] == "replay"
    assert played.status["feed"]["stale"] is True
    assert played.status["feed"]["last_tick"] >= played.moments.iloc[-1]
    assert "Feed replay is stale; automatic triggers pause." in played.page


def test_triggers_pause_while_the_feed_is_stale_and_fire_at_its_next_tick(played: Played) -> None:
    assert [kind(frame) for frame in played.paused if kind(frame) == "optimization_result"] == []
    assert played.because["later news"]["headline"] == "Apple reports"
    last = played.reference.day_of(json.loads(str(played.moments.index[-1])))
    following = played.reference.days[played.reference.days > last]
    # A day whose tick was told but whose bar was not stored yet is played again.
    assert played.day("later news") in {last, following[0]}

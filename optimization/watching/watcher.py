"""Decides at every tick which watched portfolios are optimised again; runs beside the feed."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from redis.exceptions import RedisError

from marketdata.errors import MarketDataError
from marketdata.quotes import Quote
from marketdata.redis_client import redis_commands
from optimization.engine.problem import FloatArray, Method, Objective
from optimization.errors import RequestError
from optimization.freshness import Briefly
from optimization.models import TERMINAL, OptimizationRequest, Portfolio
from optimization.queue.expectation import EXPECTED_SECONDS, expectations
from optimization.services import request_submit
from optimization.signals import risk_breached
from optimization.solving.problems import data_version
from optimization.submissions import Owner, Submission, constraints_from_document
from optimization.watching import events, portfolios
from optimization.watching.book import Book
from optimization.watching.rule_book import Fired, RuleBook
from optimization.watching.rules import (
    RULES,
    TRIGGERS,
    NewsRule,
    RiskAlertRule,
    Rule,
    TimeBasedRule,
)
from optimization.watching.schedule import next_due
from optimization.watching.surroundings import Surroundings

logger = logging.getLogger(__name__)

WATCHER_CLIENT = "watcher"
"""Client id of requests that no connection asked for."""


@dataclass(slots=True)
class _Watched:
    """What the watcher remembers of one portfolio between ticks.

    Attributes:
        portfolio: Its newest row.
        rules: What makes it be optimised.
        since: Epoch seconds of the last run, or of its beginning: rules of time count from here.
        last_run: Epoch seconds of the last run; the interval between runs counts from here.
        pending: What fired first since then.
        request_id: The run that has not ended.
    """

    portfolio: Portfolio
    rules: list[Rule]
    since: float
    last_run: float
    pending: Fired | None = None
    request_id: str | None = None


class Watcher:
    """Takes ticks in and submits requests for the portfolios whose rules fire.

    A portfolio runs at most once in ``OPTIMIZATION_INTERVAL`` seconds and never twice at a time;
    what fires in between is merged into one run.

    Args:
        clock: Epoch seconds; a test passes its own.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._state: tuple[int, str] | None = None
        self._watched: list[_Watched] = []
        self._book: Book | None = None
        self._universe: dict[str, int] = {}
        self._prices: FloatArray = np.array([])
        self._rules = RuleBook([])
        self._timed: list[tuple[int, TimeBasedRule]] = []
        self._waiting: set[int] = set()
        self._running: set[int] = set()
        self._expectation = Briefly(lambda: redis_commands(expectations()), EXPECTED_SECONDS / 3)
        self._untold: deque[tuple[Portfolio, Mapping[str, Any]]] = deque()

    def on_tick(self, quotes: Mapping[str, Quote]) -> None:
        """Take newest quotes in and act on them; errors of a backend wait for the next tick."""
        # A tick that is recorded inside a transaction must not end that transaction.
        if not connection.in_atomic_block:
            close_old_connections()
        try:
            around = Surroundings.look()
            self._refresh(around)
            if self._book is None:
                return
            self._expectation.get()
            for symbol in quotes.keys() & self._universe.keys():
                self._prices[self._universe[symbol]] = quotes[symbol].price
            self._settle()
            at = max(quote.timestamp for quote in quotes.values())
            self._note(self._evaluate(at, around))
            self._alert()
            self._submit_ready(around)
        except (RedisError, DatabaseError, MarketDataError) as error:
            logger.warning("this tick is not acted on: %s", error)

    def _refresh(self, around: Surroundings) -> None:
        """Build the book anew when portfolios or their data have changed."""
        state = (around.portfolios_version, data_version.get())
        if state == self._state:
            return
        known = {watched.portfolio.portfolio_id: watched for watched in self._watched}
        fired = {
            (self._watched[row].portfolio.portfolio_id, rule)
            for row, rule in self._rules.disarmed()
        }
        prices = {symbol: self._prices[i] for symbol, i in self._universe.items()}
        active = list(Portfolio.objects.filter(active=True).order_by("id"))
        self._watched = [_merge(known.get(p.portfolio_id), p) for p in active]
        symbols = sorted({symbol for p in active for symbol in p.symbols})
        self._universe = {symbol: i for i, symbol in enumerate(symbols)}
        self._prices = np.array([prices.get(symbol, np.nan) for symbol in symbols])
        positions = [portfolios.position_of(portfolio) for portfolio in active]
        self._book = Book(positions, symbols) if positions else None
        self._rules = RuleBook([watched.rules for watched in self._watched])
        rows = {portfolio.portfolio_id: row for row, portfolio in enumerate(active)}
        self._rules.disarm({(rows[name], rule) for name, rule in fired if name in rows})
        self._timed = [
            (row, rule)
            for row, watched in enumerate(self._watched)
            for rule in watched.rules
            if isinstance(rule, TimeBasedRule)
        ]
        self._waiting = {row for row, w in enumerate(self._watched) if w.pending is not None}
        self._running = {row for row, w in enumerate(self._watched) if w.request_id is not None}
        self._state = state

    def _settle(self) -> None:
        """Take over the results of requests that have ended."""
        if not self._running or self._book is None:
            return
        running = {str(self._watched[row].request_id): row for row in self._running}
        ended = OptimizationRequest.objects.filter(request_id__in=running, status__in=TERMINAL)
        rows = [running[name] for name in ended.values_list("request_id", flat=True)]
        newest = Portfolio.objects.in_bulk([self._watched[row].portfolio.pk for row in rows])
        for row in rows:
            watched = self._watched[row]
            # One that is gone is left out of the next book.
            if portfolio := newest.get(watched.portfolio.pk):
                self._book.replace(row, portfolios.position_of(portfolio))
                watched.portfolio = portfolio
            # Only now: what could not be read is settled at the next tick.
            watched.request_id = None
            self._running.discard(row)

    def _evaluate(self, at: float, around: Surroundings) -> list[Fired]:
        """What fires at the tick of epoch seconds ``at``."""
        if self._book is None:
            return []
        # News first: they may fail to come, and rules that have fired would not fire again.
        fired = [*(self._news() if around.has_news else ()), *self._due(at)]
        with np.errstate(invalid="ignore", divide="ignore"):
            fired += self._rules.fired(self._book.quantities(self._prices))
        return [replace(one, detail={**one.detail, **self._tick(one.row, at)}) for one in fired]

    def _tick(self, row: int, at: float) -> dict[str, Any]:
        """The tick that a rule fired at: its moment, and the prices of the portfolio's symbols."""
        symbols = self._watched[row].portfolio.symbols
        prices = {symbol: float(self._prices[self._universe[symbol]]) for symbol in symbols}
        return {"at": at, "prices": {s: p if np.isfinite(p) else None for s, p in prices.items()}}

    def _due(self, at: float) -> Iterator[Fired]:
        for row, rule in self._timed:
            due = next_due(rule, self._watched[row].since)
            if at >= due:
                yield Fired(row, rule, {"due_at": due})

    def _news(self) -> Iterator[Fired]:
        for event in events.take_events():
            for row, watched in enumerate(self._watched):
                named = set(event.symbols) & set(watched.portfolio.symbols)
                for rule in watched.rules:
                    if isinstance(rule, NewsRule) and (named or not event.symbols):
                        yield Fired(row, rule, {"headline": event.headline})

    def _note(self, fired: list[Fired]) -> None:
        """Keep what is to be told and what is to be optimised until it is done."""
        for one in fired:
            watched = self._watched[one.row]
            if isinstance(one.rule, RiskAlertRule):
                self._untold.append((watched.portfolio, one.detail))
            if watched.pending is None:
                watched.pending = one
                self._waiting.add(one.row)

    def _alert(self) -> None:
        """Tell breaches, the oldest first; one that a backend hinders is told at the next tick."""
        while self._untold:
            portfolio, breach = self._untold[0]
            risk_breached.send(sender=Portfolio, portfolio=portfolio, breach=breach)
            self._untold.popleft()

    def _submit_ready(self, around: Surroundings) -> None:
        """Optimise what waits, as soon as its interval allows."""
        now = self._clock()
        ready = [
            row
            for row in self._waiting - self._running
            if now - self._watched[row].last_run >= settings.OPTIMIZATION_INTERVAL
        ]
        if not ready or around.paused:
            return
        # Half of the queue is left to those who ask; who was optimised longest ago comes first.
        room = max(1, settings.MAX_QUEUE_SIZE // 2) - around.waiting
        ready.sort(key=lambda row: self._watched[row].last_run)
        for row in ready[: max(0, room)]:
            if not self._submit(row, now):
                return

    def _submit(self, row: int, now: float) -> bool:
        """Ask for one optimisation; False when nothing more can be taken before the next tick."""
        watched = self._watched[row]
        assert watched.pending is not None  # noqa: S101 - only rows that wait come here
        try:
            receipt = request_submit(_submission(watched.portfolio, watched.pending))
        except RequestError as error:
            if error.retry:
                return False
            logger.warning("%s: %s", watched.portfolio, error.message)
        else:
            watched.request_id = receipt.request.request_id
            self._running.add(row)
        watched.pending, watched.last_run, watched.since = None, now, now
        self._waiting.discard(row)
        return True


def _merge(known: _Watched | None, portfolio: Portfolio) -> _Watched:
    """What is remembered of a portfolio, with its newest row and rules."""
    rules = RULES.validate_python(portfolio.rules)
    if known is not None:
        return replace(known, portfolio=portfolio, rules=rules)
    optimized = portfolio.optimized_at
    since = (optimized or portfolio.created_at).timestamp()
    return _Watched(portfolio, rules, since, since if optimized else -math.inf)


def _submission(portfolio: Portfolio, fired: Fired) -> Submission:
    """The request that a fired rule asks for, on live prices where prices fired it."""
    parameters = dict(portfolio.parameters)
    if fired.rule.kind in {"price_change", "risk_alert"}:
        parameters.setdefault("include_live", True)
    return Submission(
        owner=Owner(portfolio.owner, portfolio.user_id),
        client_id=WATCHER_CLIENT,
        symbols=tuple(portfolio.symbols),
        objective=Objective(portfolio.objective),
        constraints=constraints_from_document(portfolio.constraints),
        method=Method(portfolio.method),
        trigger=TRIGGERS[fired.rule.kind],
        parameters=parameters,
        metadata={
            "portfolio_id": portfolio.portfolio_id,
            "portfolio_name": portfolio.name,
            "rule": RULES.dump_python([fired.rule], mode="json", exclude_none=True)[0],
            "because": fired.detail,
        },
        portfolio_id=portfolio.portfolio_id,
    )


@cache
def _watcher() -> Watcher:
    return Watcher()


def watch_tick(quotes: Mapping[str, Quote], **_kwargs: Any) -> None:
    """Receiver of ``tick_recorded``: acts in whichever process records ticks, which is the feed."""
    _watcher().on_tick(quotes)

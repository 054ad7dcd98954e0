"""Which ticks are refused, and why."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from marketdata.quotes import Quote


class Reason(StrEnum):
    """Why a tick is refused."""

    NOT_A_NUMBER = "not_a_number"
    NOT_POSITIVE = "not_positive"
    STALE = "stale"
    AHEAD = "ahead"
    JUMP = "jump"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a tick may be off.

    Attributes:
        max_age: Seconds that a tick may be old.
        max_ahead: Seconds that it may be ahead of our clock.
        max_jump: Largest relative move from the previous price, as a fraction.
        confirmations: Ticks in a row near a new level that make a jump believed: a split or a
            suspended share would be refused for good otherwise.
    """

    max_age: float = 60.0
    max_ahead: float = 5.0
    max_jump: float = 0.5
    confirmations: int = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused tick, the rule that refused it and the price it was compared with."""

    quote: Quote
    reason: Reason
    previous_price: float | None


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch after the rules: what is recorded, what is refused, how much came late or twice."""

    accepted: tuple[Quote, ...]
    refused: tuple[Refusal, ...]
    superseded: int


CLOCK_SET_BACK = 1.0
"""Seconds by which this host's clock must go back to have been set and not merely adjusted."""


def refuse(quote: Quote, previous_price: float | None, now: float, limits: Limits) -> Reason | None:
    """The first rule that ``quote`` breaks, or None.

    Args:
        quote: The tick.
        previous_price: Last believed price of its symbol, if there is one.
        now: Epoch seconds.
        limits: How far a tick may be off.
    """
    if not (math.isfinite(quote.price) and math.isfinite(quote.timestamp)):
        return Reason.NOT_A_NUMBER
    if quote.price <= 0:
        return Reason.NOT_POSITIVE
    if now - quote.timestamp > limits.max_age:
        return Reason.STALE
    if quote.timestamp - now > limits.max_ahead:
        return Reason.AHEAD
    if previous_price is not None and _move(quote.price, previous_price) > limits.max_jump:
        return Reason.JUMP
    return None


@dataclass(slots=True)
class TickFilter:
    """Sorts a feed's batches; it remembers the last believed price of each symbol.

    Attributes:
        limits: How far a tick may be off.
        prices: Last believed prices; to begin with, the last closes.
    """

    limits: Limits = field(default_factory=Limits)
    prices: dict[str, float] = field(default_factory=dict)
    _times: dict[str, float] = field(default_factory=dict)
    _sorted_at: float = -math.inf
    _jumps: dict[str, tuple[float, int]] = field(default_factory=dict)

    @classmethod
    def starting_at(cls, closes: Mapping[str, float], limits: Limits) -> "TickFilter":
        """A filter that believes ``closes``."""
        return cls(limits, dict(closes))

    def sort(self, batch: Iterable[Quote], now: float) -> Sorted:
        """Accept, refuse or drop each tick of ``batch``.

        A tick that is not newer than the one before it is dropped: the newest price is known.
        """
        if now < self._sorted_at - CLOCK_SET_BACK:
            # Nothing would be newer until the clock is where it was.
            self._times.clear()
        self._sorted_at = now
        accepted, refused, superseded = [], [], 0
        for quote in batch:
            previous = self.prices.get(quote.symbol)
            reason = refuse(quote, previous, now, self.limits)
            if reason is Reason.JUMP and self._believed(quote):
                reason = None
            if reason is not None:
                refused.append(Refusal(quote, reason, previous))
            elif quote.timestamp <= self._times.get(quote.symbol, -math.inf):
                superseded += 1
            else:
                accepted.append(quote)
                self.prices[quote.symbol] = quote.price
                self._times[quote.symbol] = quote.timestamp
                self._jumps.pop(quote.symbol, None)
        return Sorted(tuple(accepted), tuple(refused), superseded)

    def _believed(self, quote: Quote) -> bool:
        """Whether enough ticks in a row confirmed the level that ``quote`` jumped to."""
        level, count = self._jumps.get(quote.symbol, (quote.price, 0))
        near = _move(quote.price, level) <= self.limits.max_jump / 10
        count = count + 1 if near else 1
        self._jumps[quote.symbol] = (quote.price, count)
        return count > self.limits.confirmations


def _move(price: float, level: float) -> float:
    return abs(price / level - 1.0)

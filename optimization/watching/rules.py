"""When a watched portfolio is optimised again: the kinds of rules and what each needs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from celery.schedules import ParseException, crontab_parser
from pydantic import Field, TypeAdapter

from optimization.errors import InvalidRequestError
from optimization.models import Trigger
from optimization.watching.expressions import Expression, ExpressionError


class Quantity(StrEnum):
    """What rules may name, per portfolio; fractions unless said otherwise."""

    PRICE_CHANGE = "price_change"
    """Largest absolute move of any of its symbols since the last optimisation."""
    VALUE_CHANGE = "value_change"
    """Move of its value since the last optimisation."""
    DRIFT = "drift"
    """Largest distance of a weight from its target."""
    CONCENTRATION = "concentration"
    """Largest weight now."""
    VOLATILITY = "volatility"
    """Yearly standard deviation of its returns over the window, today's unfinished one included."""
    VALUE_AT_RISK = "value_at_risk"
    """One-day loss exceeded on at most 5 % of days."""
    CVAR = "cvar"
    """Mean one-day loss of the worst 5 % of days."""
    DRAWDOWN = "drawdown"
    """Fall of its value from its highest over the window."""
    CORRELATION_CHANGE = "correlation_change"
    """Mean absolute change of the correlations of its symbols since the last optimisation."""


Fraction = Annotated[float, Field(gt=0, le=100)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChangeRule:
    """Fires when a symbol has moved by ``threshold`` since the last optimisation."""

    kind: Literal["price_change"] = "price_change"
    threshold: Fraction = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBasedRule:
    """Fires every ``interval`` seconds, or at the times (UTC) of a ``cron`` expression."""

    kind: Literal["time_based"] = "time_based"
    interval: Annotated[float, Field(ge=1, le=31_536_000)] | None = None
    cron: Annotated[str, Field(max_length=100)] | None = None

    def __post_init__(self) -> None:
        if (self.interval is None) == (self.cron is None):
            raise InvalidRequestError(
                "a time_based rule needs either interval (seconds) or cron", ["triggers"]
            )
        if self.cron is not None:
            check_cron(self.cron)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAlertRule:
    """Alerts and fires when a risk measure rises above ``limit``; again once it was below."""

    kind: Literal["risk_alert"] = "risk_alert"
    measure: Literal["volatility", "value_at_risk", "cvar", "drawdown", "concentration"]
    limit: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationRule:
    """Fires when the correlations have changed by ``threshold`` on average."""

    kind: Literal["correlation"] = "correlation"
    threshold: Annotated[float, Field(gt=0, le=2)] = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewsRule:
    """Fires when an event is posted that names one of its symbols, or none at all."""

    kind: Literal["news"] = "news"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRule:
    """Fires when an expression over the quantities begins to hold."""

    kind: Literal["custom"] = "custom"
    expression: str

    def __post_init__(self) -> None:
        try:
            Expression(self.expression, list(Quantity))
        except ExpressionError as error:
            raise InvalidRequestError(f"expression: {error}", ["triggers"]) from error


Rule = Annotated[
    PriceChangeRule | TimeBasedRule | RiskAlertRule | CorrelationRule | NewsRule | CustomRule,
    Field(discriminator="kind"),
]

RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])
"""Reads and writes the rules of a portfolio as JSON."""

TRIGGERS = {
    "price_change": Trigger.PRICE_CHANGE,
    "time_based": Trigger.TIME_BASED,
    "risk_alert": Trigger.RISK_ALERT,
    "correlation": Trigger.MARKET_EVENT,
    "news": Trigger.MARKET_EVENT,
    "custom": Trigger.CONSTRAINT_VIOLATION,
}
"""The trigger that a request bears when a rule of this kind asked for it."""

_CRON_FIELDS = ((60, 0), (24, 0), (31, 1), (12, 1), (7, 0))


def check_cron(text: str) -> None:
    """Refuse what is not five cron fields: minute, hour, day, month, day of the week.

    Raises:
        InvalidRequestError: Naming the field at fault.
    """
    parts = text.split()
    if len(parts) != len(_CRON_FIELDS):
        raise InvalidRequestError(
            f"cron {text!r} has {len(parts)} fields; it needs minute hour day month weekday",
            ["triggers"],
        )
    for part, (size, first) in zip(parts, _CRON_FIELDS, strict=True):
        try:
            crontab_parser(size, first).parse(part)
        except (ParseException, ValueError) as error:
            raise InvalidRequestError(f"cron field {part!r}: {error}", ["triggers"]) from error

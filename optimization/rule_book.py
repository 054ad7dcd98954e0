"""The rules of all watched portfolios, evaluated together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from optimization.engine.problem import FloatArray
from optimization.expressions import Expression
from optimization.rules import (
    CorrelationRule,
    CustomRule,
    PriceChangeRule,
    Quantity,
    RiskAlertRule,
    Rule,
)

BoolArray = npt.NDArray[np.bool_]
Quantities = Mapping[Quantity, FloatArray]


@dataclass(frozen=True, slots=True)
class Fired:
    """One rule of one portfolio that asks for an optimisation.

    Attributes:
        row: The portfolio's place in the book.
        rule: Which rule.
        detail: Why, for the request's metadata.
    """

    row: int
    rule: Rule
    detail: dict[str, Any]


class _Threshold:
    """All rules of one kind that compare one quantity with a threshold, evaluated at once."""

    def __init__(self, quantity: Quantity, rules: list[tuple[int, Rule, float]]) -> None:
        self.quantity = quantity
        self.rules = [rule for _, rule, _ in rules]
        self.rows = np.array([row for row, _, _ in rules], dtype=np.intp)
        self.limits = np.array([limit for _, _, limit in rules])
        self.armed = np.ones(len(rules), dtype=bool)

    def fired(self, quantities: Quantities, *, once: bool) -> Iterator[Fired]:
        """Rules whose quantity has reached its limit; with ``once``, only when it just did."""
        values = quantities[self.quantity][self.rows]
        holds = values >= self.limits
        hits = holds & self.armed if once else holds
        if once:
            self.armed = ~holds
        for index in np.flatnonzero(hits):
            detail = {
                "quantity": self.quantity.value,
                "value": float(values[index]),
                "limit": float(self.limits[index]),
            }
            yield Fired(int(self.rows[index]), self.rules[index], detail)


class _Custom:
    """All portfolios with the same expression, evaluated at once."""

    def __init__(self, text: str, rules: list[tuple[int, Rule]]) -> None:
        self.expression = Expression(text, list(Quantity))
        self.rules = [rule for _, rule in rules]
        self.rows = np.array([row for row, _ in rules], dtype=np.intp)
        self.armed = np.ones(len(rules), dtype=bool)

    def fired(self, quantities: Quantities) -> Iterator[Fired]:
        """Rules whose expression has just begun to hold."""
        values = {name.value: array[self.rows] for name, array in quantities.items()}
        known = np.isfinite(values[Quantity.VOLATILITY])
        holds: BoolArray = np.asarray(self.expression.holds(values), dtype=bool) & known
        hits = holds & self.armed
        self.armed = ~holds
        for index in np.flatnonzero(hits):
            figures = {name: float(array[index]) for name, array in values.items()}
            yield Fired(int(self.rows[index]), self.rules[index], {"quantities": figures})


class RuleBook:
    """The rules of all watched portfolios, grouped so that a tick is a few array operations."""

    def __init__(self, rules: list[list[Rule]]) -> None:
        rows = [(row, rule) for row, own in enumerate(rules) for rule in own]
        self._moves = _Threshold(
            Quantity.PRICE_CHANGE,
            [
                (row, rule, rule.threshold)
                for row, rule in rows
                if isinstance(rule, PriceChangeRule)
            ],
        )
        self._onces = [
            _Threshold(
                Quantity.CORRELATION_CHANGE,
                [
                    (row, rule, rule.threshold)
                    for row, rule in rows
                    if isinstance(rule, CorrelationRule)
                ],
            )
        ]
        risks = [(row, rule) for row, rule in rows if isinstance(rule, RiskAlertRule)]
        self._onces += [
            _Threshold(
                Quantity(measure),
                [(r, rule, rule.limit) for r, rule in risks if rule.measure == measure],
            )
            for measure in sorted({rule.measure for _, rule in risks})
        ]
        custom = [(row, rule) for row, rule in rows if isinstance(rule, CustomRule)]
        self._customs = [
            _Custom(text, [(row, rule) for row, rule in custom if rule.expression == text])
            for text in sorted({rule.expression for _, rule in custom})
        ]

    def fired(self, quantities: Quantities) -> list[Fired]:
        """Every rule that asks for an optimisation at these quantities."""
        found = list(self._moves.fired(quantities, once=False))
        for threshold in self._onces:
            found += threshold.fired(quantities, once=True)
        for custom in self._customs:
            found += custom.fired(quantities)
        return found

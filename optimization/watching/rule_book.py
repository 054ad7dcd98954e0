"""The rules of all watched portfolios, evaluated together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from optimization.engine.problem import FloatArray
from optimization.watching.expressions import Expression
from optimization.watching.rules import (
    CorrelationRule,
    CustomRule,
    PriceChangeRule,
    Quantity,
    RiskAlertRule,
    Rule,
)

BoolArray = npt.NDArray[np.bool_]
RuleOfRow = tuple[int, Rule]
"""A portfolio's place in the book, and one of its rules."""

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


class _Group:
    """Rules that are evaluated at once, and which of them have fired and hold still."""

    def __init__(self, rules: Sequence[RuleOfRow]) -> None:
        self.rules = [rule for _, rule in rules]
        self.rows = np.array([row for row, _ in rules], dtype=np.intp)
        self.armed = np.ones(len(rules), dtype=bool)

    def disarm(self, fired: Collection[RuleOfRow]) -> None:
        """Note rules that have fired already and hold still."""
        pairs = zip(self.rows.tolist(), self.rules, strict=True)
        self.armed = np.array([pair not in fired for pair in pairs], dtype=bool)

    def disarmed(self) -> Iterator[RuleOfRow]:
        """Rules that have fired and hold still."""
        for index in np.flatnonzero(~self.armed):
            yield int(self.rows[index]), self.rules[index]


class _Threshold(_Group):
    """All rules of one kind that compare one quantity with a threshold."""

    def __init__(self, quantity: Quantity, rules: Sequence[tuple[int, Rule, float]]) -> None:
        super().__init__([(row, rule) for row, rule, _ in rules])
        self.quantity = quantity
        self.limits = np.array([limit for _, _, limit in rules])

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


class _Custom(_Group):
    """All portfolios with the same expression."""

    def __init__(self, text: str, rules: Sequence[RuleOfRow]) -> None:
        super().__init__(rules)
        self.expression = Expression(text, list(Quantity))

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

    def disarmed(self) -> set[RuleOfRow]:
        """Rules that fire once, have fired, and hold still."""
        return {one for group in (*self._onces, *self._customs) for one in group.disarmed()}

    def disarm(self, fired: Collection[RuleOfRow]) -> None:
        """Take that over from the book that this one replaces."""
        for group in (*self._onces, *self._customs):
            group.disarm(fired)

    def fired(self, quantities: Quantities) -> list[Fired]:
        """Every rule that asks for an optimisation at these quantities."""
        found = list(self._moves.fired(quantities, once=False))
        for threshold in self._onces:
            found += threshold.fired(quantities, once=True)
        for custom in self._customs:
            found += custom.fired(quantities)
        return found

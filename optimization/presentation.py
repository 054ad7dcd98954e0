"""Figures of a request as people read them, for the admin and the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.timezone import localtime

_PERCENTAGES = {
    "expected_return": "Expected return (a year)",
    "expected_volatility": "Volatility (a year)",
    "value_at_risk": "Value at risk (a day)",
    "cvar": "CVaR (a day)",
    "max_drawdown": "Largest drawdown (of the window)",
}
_NUMBERS = {
    "sharpe_ratio": "Sharpe ratio",
    "sortino_ratio": "Sortino ratio",
    "omega_ratio": "Omega ratio",
    "calmar_ratio": "Calmar ratio",
}

NO_VALUE = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        name: What it is.
        value: The figure with its unit.
        share: The figure as a bar: from 0 to 100, or None for no bar.
        negative: Whether the bar stands for a negative figure.
    """

    name: str
    value: str
    share: float | None = None
    negative: bool = False


def percent(value: float | None) -> str:
    """A fraction in per cent."""
    return NO_VALUE if value is None else f"{value * 100:.2f} %"


def seconds(value: float | None) -> str:
    """A duration with a unit that suits its size."""
    if value is None:
        return NO_VALUE
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.2f} s"


def some_symbols(symbols: list[str], shown: int = 3) -> str:
    """The first symbols and how many more there are."""
    text = ", ".join(symbols[:shown])
    return text if len(symbols) <= shown else f"{text} + {len(symbols) - shown} more"


def moment(at: datetime | None) -> str:
    """A moment to the second, in the server's time zone."""
    return NO_VALUE if at is None else f"{localtime(at):%Y-%m-%d %H:%M:%S}"


def weight_rows(weights: Mapping[str, float]) -> list[Row]:
    """Weights, the largest first; bars are relative to the largest."""
    largest = max((abs(weight) for weight in weights.values()), default=0.0) or 1.0
    ordered = sorted(weights.items(), key=lambda item: -abs(item[1]))
    return [
        Row(symbol, percent(weight), round(100 * abs(weight) / largest, 2), weight < 0)
        for symbol, weight in ordered
    ]


def metric_rows(metrics: Mapping[str, float | None]) -> list[Row]:
    """Metrics under their full names, each with its unit."""
    rows = [Row(_PERCENTAGES[k], percent(v)) for k, v in metrics.items() if k in _PERCENTAGES]
    others = [(k, v) for k, v in metrics.items() if k not in _PERCENTAGES]
    return rows + [
        Row(_NUMBERS.get(k, k), NO_VALUE if v is None else f"{v:.3f}") for k, v in others
    ]


def document_rows(document: Mapping[str, Any]) -> list[Row]:
    """The fields of a JSON document, one line each."""
    return [Row(name, _text(value)) for name, value in document.items()]


def window_words(window: Mapping[str, Any]) -> str:
    """``"2021-12-29 to 2022-12-28, 252 days"``."""
    last = ", the last one unfinished" if window["partial"] else ""
    return f"{window['start']} to {window['end']}, {window['observations']} days{last}"


def explanation(metadata: Mapping[str, Any]) -> list[str]:
    """What holds the optimum back, in sentences."""
    return [binding["sentence"] for binding in metadata.get("binding_constraints", [])]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)

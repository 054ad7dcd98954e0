"""A request's parameters, which come from the wire as they are: checked name by name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optimization.engine.errors import InvalidProblemError

CALLERS_PARAMETERS = frozenset(
    {"seed", "lookback", "include_live", "risk_free_rate", "risk_aversion", "covariance"}
)
"""Parameters that say what to solve or with which seed; whoever builds the problem reads them."""


def refuse_unknown(parameters: Mapping[str, Any], known: Sequence[str]) -> None:
    """Check that a method knows every parameter.

    Raises:
        InvalidProblemError: It does not know one.
    """
    for name in parameters:
        if name not in known and name not in CALLERS_PARAMETERS:
            raise InvalidProblemError(
                f"parameters.{name} is unknown to this method; it takes {', '.join(known)} and"
                " seed",
                [f"parameters.{name}"],
            )


def whole(parameters: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A whole number between ``low`` and ``high``, both included.

    Raises:
        InvalidProblemError: It is none.
    """
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidProblemError(
            f"parameters.{name} is {value!r}; it is a whole number between {low} and {high}",
            [f"parameters.{name}"],
        )
    return value


def number(
    parameters: Mapping[str, Any], name: str, default: float, low: float, high: float
) -> float:
    """A finite number between ``low`` and ``high``, both included.

    Raises:
        InvalidProblemError: It is none.
    """
    value = parameters.get(name, default)
    valid = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not valid or not low <= value <= high:
        raise InvalidProblemError(
            f"parameters.{name} is {value!r}; it is a number between {low:g} and {high:g}",
            [f"parameters.{name}"],
        )
    return float(value)

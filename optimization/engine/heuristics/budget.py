"""How long a search may go on, read from the request's parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from optimization.engine.errors import InvalidProblemError

CALLERS_PARAMETERS = frozenset(
    {"seed", "lookback", "include_live", "risk_free_rate", "risk_aversion", "covariance"}
)
"""Parameters that say what to solve or with which seed; whoever builds the problem reads them."""

_SEARCH_PARAMETERS = ("population", "iterations", "evaluations", "time_limit", "target_gap")

DEFAULT_TIME_LIMIT = 60.0
"""Seconds; far more than the default iterations take, so that those decide."""

DEFAULT_TARGET_GAP = 1e-6


class StoppedBy(StrEnum):
    """Why a search ended."""

    ITERATIONS = "iterations"
    EVALUATIONS = "evaluations"
    TARGET_GAP = "target_gap"
    TIME_LIMIT = "time_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of one search; whichever is reached first ends it.

    Iterations, evaluations and the gap end a search at the same portfolio on every machine. The
    time limit does not: it is a safety stop, and a result that it ended says so.

    Attributes:
        population: Portfolios moved at a time.
        iterations: Largest number of moves of the whole population.
        evaluations: Largest number of portfolios evaluated, or None for no limit.
        time_limit: Seconds.
        target_gap: Relative gap to the certified bound that is good enough.
    """

    population: int
    iterations: int
    evaluations: int | None = None
    time_limit: float = DEFAULT_TIME_LIMIT
    target_gap: float = DEFAULT_TARGET_GAP

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *, population: int, iterations: int) -> "Budget":
        """The budget a request asks for, completed by the solver's own sizes.

        Raises:
            InvalidProblemError: A parameter is unknown or has no sensible value.
        """
        _refuse_unknown(parameters)
        evaluations = parameters.get("evaluations")
        return cls(
            population=_whole(parameters, "population", population, 4, 100_000),
            iterations=_whole(parameters, "iterations", iterations, 1, 100_000_000),
            evaluations=None
            if evaluations is None
            else _whole(parameters, "evaluations", 1, 1, 10**12),
            time_limit=_number(parameters, "time_limit", DEFAULT_TIME_LIMIT, 1e-3, 86_400.0),
            target_gap=_number(parameters, "target_gap", DEFAULT_TARGET_GAP, 0.0, 1.0),
        )


def _refuse_unknown(parameters: Mapping[str, Any]) -> None:
    for name in parameters:
        if name not in _SEARCH_PARAMETERS and name not in CALLERS_PARAMETERS:
            raise InvalidProblemError(
                f"parameters.{name} is unknown to this method; it takes"
                f" {', '.join(_SEARCH_PARAMETERS)} and seed",
                [f"parameters.{name}"],
            )


def _whole(parameters: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidProblemError(
            f"parameters.{name} is {value!r}; it is a whole number between {low} and {high}",
            [f"parameters.{name}"],
        )
    return value


def _number(
    parameters: Mapping[str, Any], name: str, default: float, low: float, high: float
) -> float:
    value = parameters.get(name, default)
    valid = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not valid or not low <= value <= high:
        raise InvalidProblemError(
            f"parameters.{name} is {value!r}; it is a number between {low:g} and {high:g}",
            [f"parameters.{name}"],
        )
    return float(value)

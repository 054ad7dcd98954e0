"""How long a search may go on, read from the request's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from optimization.engine.parameters import number, refuse_unknown, whole

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
        refuse_unknown(parameters, _SEARCH_PARAMETERS)
        evaluations = parameters.get("evaluations")
        return cls(
            population=whole(parameters, "population", population, 4, 100_000),
            iterations=whole(parameters, "iterations", iterations, 1, 100_000_000),
            evaluations=None
            if evaluations is None
            else whole(parameters, "evaluations", 1, 1, 10**12),
            time_limit=number(parameters, "time_limit", DEFAULT_TIME_LIMIT, 1e-3, 86_400.0),
            target_gap=number(parameters, "target_gap", DEFAULT_TARGET_GAP, 0.0, 1.0),
        )

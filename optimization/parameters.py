"""The parameters of a request that belong to its problem and not to its method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings


@dataclass(frozen=True, slots=True)
class DataParameters:
    """What a request is solved on and for, and how randomness is seeded.

    Attributes:
        lookback: Returns in the window.
        include_live: Whether today's unfinished return is the last row.
        risk_free_rate: Yearly, as a fraction.
        risk_aversion: λ of maximize_utility.
        risk_budgets: Share of the risk per symbol under risk_parity, or None for equal ones.
        seed: Seed of the method's random generator.
        points: Of a frontier.
    """

    lookback: int
    include_live: bool
    risk_free_rate: float
    risk_aversion: float
    risk_budgets: Mapping[str, float] | None
    seed: int
    points: int

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Those of a recorded request, with the server's defaults."""
        return cls(
            lookback=int(parameters.get("lookback", settings.DEFAULT_LOOKBACK)),
            include_live=bool(parameters.get("include_live", False)),
            risk_free_rate=float(parameters.get("risk_free_rate", 0.0)),
            risk_aversion=float(parameters.get("risk_aversion", 1.0)),
            risk_budgets=parameters.get("risk_budgets"),
            seed=int(parameters.get("seed", 0)),
            points=int(parameters.get("points", 20)),
        )

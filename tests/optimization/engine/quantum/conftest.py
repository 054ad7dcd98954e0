"""Real prices, read from the sample inside skfolio's wheel."""

import gzip
import importlib.resources
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import pytest

from optimization.engine.problem import Constraints, Objective, Problem

ProblemOf = Callable[..., Problem]


@cache
def sp500_returns() -> pd.DataFrame:
    """Daily simple returns of 20 stocks, 1990 to 2019: years that end in a rising market."""
    resource = importlib.resources.files("skfolio.datasets") / "data" / "sp500_dataset.csv.gz"
    with resource.open("rb") as packed, gzip.open(packed, "rt") as text:
        prices = pd.read_csv(text, index_col=0, parse_dates=True)
    return prices.pct_change().iloc[1:].loc[:"2019"]


@pytest.fixture
def problem_of() -> ProblemOf:
    """Builds a problem of the first n stocks and the last T days."""

    def build(
        assets: int = 5,
        days: int = 252,
        objective: Objective = Objective.MAXIMIZE_SHARPE,
        risk_free_rate: float = 0.0,
        **constraints: Any,
    ) -> Problem:
        window = sp500_returns().iloc[-days:, :assets]
        return Problem(
            returns=window.to_numpy(),
            symbols=tuple(window.columns),
            objective=objective,
            constraints=Constraints(**({"max_weight": 0.4} | constraints)),
            risk_free_rate=risk_free_rate,
        )

    return build

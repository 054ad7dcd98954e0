"""Real prices for the exact solvers: the S&P 500 sample inside skfolio's wheel."""

import gzip
import importlib.resources
from functools import cache
from typing import Any

import pandas as pd
import pytest

from optimization.engine import Constraints, Objective, Problem


@cache
def sp500_prices() -> pd.DataFrame:
    resource = importlib.resources.files("skfolio.datasets") / "data" / "sp500_dataset.csv.gz"
    with resource.open("rb") as packed, gzip.open(packed, "rt") as text:
        return pd.read_csv(text, index_col=0, parse_dates=True)


@pytest.fixture(scope="session")
def sp500() -> pd.DataFrame:
    """Daily simple returns of 20 assets, 1990 to 2019: years that end in a rising market."""
    return sp500_prices().pct_change().iloc[1:].loc[:"2019"]


@pytest.fixture
def make_problem(sp500: Any) -> Any:
    """Build a problem from the last T rows and first n assets of the real returns."""

    def make(
        n: int = 20,
        periods: int = 1260,
        objective: Objective = Objective.MAXIMIZE_SHARPE,
        risk_free_rate: float = 0.0,
        **constraints: Any,
    ) -> Problem:
        window = sp500.iloc[-periods:, :n]
        return Problem(
            returns=window.to_numpy(),
            symbols=tuple(window.columns),
            objective=objective,
            constraints=Constraints(**constraints),
            risk_free_rate=risk_free_rate,
        )

    return make

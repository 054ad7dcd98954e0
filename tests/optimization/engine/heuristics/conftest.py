"""Real prices and three ways to search."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from skfolio.datasets import load_sp500_dataset

from optimization.engine.heuristics.solver import solve_annealing, solve_genetic, solve_swarm
from optimization.engine.problem import Constraints, FloatArray, Objective, Problem, Solution
from optimization.engine.registry import SolveContext, Solver

SOLVERS: Mapping[str, Solver] = {
    "genetic": solve_genetic,
    "annealing": solve_annealing,
    "swarm": solve_swarm,
}

SolveWith = Callable[..., Solution]
ProblemOf = Callable[..., Problem]


@cache
def _returns() -> tuple[FloatArray, tuple[str, ...]]:
    prices = load_sp500_dataset()
    values = prices.to_numpy()
    return values[1:] / values[:-1] - 1.0, tuple(prices.columns)


@pytest.fixture
def problem_of() -> ProblemOf:
    """Builds a problem of real daily returns: the first n of 20 stocks, the last T days."""

    def build(
        assets: int = 5,
        days: int = 252,
        objective: Objective = Objective.MINIMIZE_VARIANCE,
        constraints: Constraints | None = None,
        **others: Any,
    ) -> Problem:
        returns, symbols = _returns()
        return Problem(
            returns=returns[-days:, :assets],
            symbols=symbols[:assets],
            objective=objective,
            constraints=Constraints(max_weight=0.4) if constraints is None else constraints,
            **others,
        )

    return build


@pytest.fixture(params=list(SOLVERS))
def solve_with(request: pytest.FixtureRequest) -> SolveWith:
    """Each of the three searches in turn: (problem, seed, parameters…) → solution."""
    solver = SOLVERS[request.param]

    def solve(problem: Problem, seed: int = 7, **parameters: Any) -> Solution:
        context = SolveContext(rng=np.random.default_rng(seed), parameters=parameters)
        return solver(problem, context)

    return solve

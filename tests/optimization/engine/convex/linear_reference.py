"""Piecewise linear risks as one whole linear programme, for SciPy's HiGHS."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from optimization.engine import Constraints, Group, Objective, Problem, measures, solve
from optimization.engine.problem import TRADING_DAYS

FloatArray = np.ndarray


def by_linprog(problem: Problem) -> FloatArray:
    """Optimal weights under bounds, budget, groups and a target return.

    The weights come first, then the auxiliary variables of the risk: one per period, and for a
    drawdown the peaks and one level before them.
    """
    returns, n = problem.returns, problem.n_assets
    risk_free = problem.risk_free_rate / TRADING_DAYS
    periods = len(returns)
    eye, wide, tall = np.eye(periods), np.zeros((periods, periods)), np.zeros((periods, 1))
    tail = problem.constraints.cvar_confidence
    if problem.objective == Objective.MINIMIZE_MAD:
        centred = returns - returns.mean(axis=0)
        cost = np.r_[np.zeros(n), np.full(periods, 1 / periods)]
        rows = np.block([[centred, -eye], [-centred, -eye]])
        limits, free = np.zeros(2 * periods), None
    elif problem.objective == Objective.MINIMIZE_CVAR:
        cost = np.r_[np.zeros(n), 1.0, np.full(periods, 1 / max(tail * periods, 1.0))]
        rows = np.block([-(returns - risk_free), tall - 1.0, -eye])
        limits, free = np.zeros(periods), n
    else:
        total = np.cumsum(returns - risk_free, axis=0)
        interest = risk_free * np.arange(1, periods + 1)
        rise = eye - np.eye(periods, k=-1)
        rows = np.block(
            [
                [total, -eye, tall, wide],
                [np.zeros((periods, n)), -rise, tall, wide],
                [-total, eye, tall - 1.0, -eye],
            ]
        )
        limits = np.r_[-interest, np.zeros(periods), interest]
        conditional = problem.objective == Objective.MINIMIZE_CDAR
        count = max(tail * periods, 1.0) if conditional else 1.0
        cost = np.r_[np.zeros(n + periods), 1.0, np.full(periods, 1 / count)]
        free = n + periods
    return _solve(problem, cost, (rows, limits), free)


def _solve(
    problem: Problem, cost: FloatArray, risk: tuple[FloatArray, FloatArray], free: int | None
) -> FloatArray:
    constraints, n, extra = problem.constraints, problem.n_assets, len(cost) - problem.n_assets
    largest = 1.0 if constraints.max_weight is None else constraints.max_weight
    smallest = constraints.min_weight or (0.0 if constraints.long_only else -largest)
    bounds: list[tuple[float | None, float | None]] = [(smallest, largest)] * n
    bounds += [(None, None) if n + column == free else (0, None) for column in range(extra)]
    rows, limits = [risk[0]], [risk[1]]

    def at_most(coefficients: FloatArray, limit: float) -> None:
        rows.append(np.r_[coefficients, np.zeros(extra)][np.newaxis])
        limits.append(np.array([limit]))

    for group in constraints.groups:
        members = np.array([float(symbol in group.symbols) for symbol in problem.symbols])
        if group.max_weight is not None:
            at_most(members, group.max_weight)
        if group.min_weight is not None:
            at_most(-members, -group.min_weight)
    rate = problem.risk_free_rate / TRADING_DAYS
    if constraints.target_return is not None:
        least = constraints.target_return / TRADING_DAYS - rate
        at_most(-(problem.returns.mean(axis=0) - rate), -least)
    whole = np.zeros((0, len(cost)))
    if constraints.sum_to_one:
        whole = np.r_[np.ones(n), np.zeros(extra)][np.newaxis]
    else:
        at_most(np.ones(n), 1.0)
    found = linprog(
        cost,
        np.vstack(rows),
        np.concatenate(limits),
        whole,
        np.ones(len(whole)),
        bounds,
        method="highs",
    )
    return np.asarray(found.x[:n])


def draw(rng: np.random.Generator, n: int, periods: int) -> FloatArray:
    """Returns with fat tails and a common factor, shape (periods, n)."""
    common = rng.standard_t(4, (periods, 1)) * rng.uniform(0.3, 1.2, n)
    own = rng.standard_t(4, (periods, n)) * rng.uniform(0.4, 1.6, n)
    return np.asarray(0.01 * (common + own) + rng.normal(4e-4, 4e-4, n))


def _target(returns: FloatArray) -> float:
    """A yearly return that only the best of the assets reach."""
    return float(TRADING_DAYS * np.quantile(returns.mean(axis=0), 0.8))


CASES: Mapping[str, Callable[[FloatArray], Mapping[str, Any]]] = {
    "a cap": lambda _: {"max_weight": 0.4},
    "no cap": lambda _: {},
    "smallest weights": lambda _: {"min_weight": 0.01, "max_weight": 0.4},
    "cash": lambda _: {"max_weight": 0.4, "sum_to_one": False},
    "short positions": lambda _: {"long_only": False, "max_weight": 0.5},
    "short positions and cash": lambda _: {
        "long_only": False,
        "max_weight": 0.5,
        "sum_to_one": False,
    },
    "groups": lambda _: {
        "groups": (
            Group(name="first", symbols=("S0", "S1", "S2"), max_weight=0.3),
            Group(name="last", symbols=("S3", "S2"), min_weight=0.4),
        )
    },
    "a target return": lambda returns: {"target_return": _target(returns)},
    "a tail of less than a period": lambda _: {"cvar_confidence": 0.01, "max_weight": 0.5},
    "a tail of a tenth": lambda _: {"cvar_confidence": 0.1, "max_weight": 0.5},
}
"""Constraints, given the returns."""

SHAPES = {"few assets": (6, 90), "fewer periods than assets": (24, 18), "many assets": (40, 130)}
"""Numbers of assets and periods."""


def problem_in(case: str, shape: str, objective: Objective, seed: int = 0) -> Problem:
    n, periods = SHAPES[shape]
    returns = draw(np.random.default_rng([seed, n]), n, periods)
    return Problem(
        returns=returns,
        symbols=tuple(f"S{asset}" for asset in range(n)),
        objective=objective,
        constraints=Constraints(**CASES[case](returns)),
        risk_free_rate=0.03,
    )


def check_against_linprog(problem: Problem, solvers: set[str]) -> None:
    """Assert that one of these solvers alone found what the whole programme's optimum costs."""
    solution, cost = solve(problem), measures.cost_function(problem)
    ours, theirs = float(cost(solution.weights)), float(cost(by_linprog(problem)))
    scale = max(abs(theirs), 1e-3 * float(np.abs(problem.returns).mean()))
    assert solution.solver in solvers
    assert solution.optimality_gap is not None
    assert solution.optimality_gap <= 1e-9
    assert solution.max_violation <= 1e-9
    assert ours == pytest.approx(theirs, abs=1e-8 * scale)

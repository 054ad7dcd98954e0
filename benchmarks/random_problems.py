"""Random portfolio problems: every size, scale and degeneracy, and every constraint mixed freely.

A seed gives the same problem on every machine. Limits are set around a portfolio that satisfies
the bounds, so that most problems have an answer; some are tightened past it, so that not all do.
"""

from typing import Any

import numpy as np

from optimization.engine import AssetBounds, Constraints, Group, Objective, Problem
from optimization.engine.problem import TRADING_DAYS, FloatArray

MOST_ASSETS, MOST_PERIODS = 60, 800
SEARCHED = 12
"""Largest number of assets whose holdings are searched for."""


def random_problem(seed: int, objective: Objective) -> Problem:
    """The problem of a seed.

    Raises:
        InvalidProblemError: Never, unless the generator is wrong.
    """
    rng = np.random.default_rng([seed, list(Objective).index(objective)])
    n, periods = _size(rng, 1, MOST_ASSETS), _size(rng, 2, MOST_PERIODS)
    returns = random_returns(rng, n, periods)
    symbols = tuple(f"S{asset:02d}" for asset in range(n))
    return Problem(
        returns=returns,
        symbols=symbols,
        objective=objective,
        constraints=Constraints(**_constraints(rng, symbols, returns)),
        risk_free_rate=float(rng.choice([0.0, 0.0, 0.02, 0.2])),
        risk_aversion=float(10 ** rng.uniform(-1, 2)),
        risk_budgets=_budgets(rng, symbols) if objective == Objective.RISK_PARITY else None,
    )


def _size(rng: np.random.Generator, low: int, high: int) -> int:
    """As many small ones as large ones."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def _maybe(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def random_returns(rng: np.random.Generator, n: int, periods: int) -> FloatArray:
    """Correlated returns of shape (T, n) with the defects that real windows have."""
    factors = int(rng.integers(1, 4))
    common = rng.standard_t(5, (periods, factors)) @ rng.normal(0, 0.6, (factors, n))
    own = rng.standard_t(5, (periods, n)) * rng.uniform(0.3, 2.0, n)
    returns = 0.01 * (common + own) + rng.normal(4e-4, 6e-4, n)
    if _maybe(rng, 0.1):
        returns = np.round(returns, int(rng.integers(2, 5)))
    for share, spoil in ((0.1, _twin), (0.1, _constant), (0.1, _nearly_dependent), (0.05, _rare)):
        if _maybe(rng, share):
            spoil(rng, returns)
    if _maybe(rng, 0.3):
        returns = returns * 10.0 ** rng.uniform(-6, 4)  # from 1e-8 to 1e+2 a period
    return np.asarray(returns)


def _twin(rng: np.random.Generator, returns: FloatArray) -> None:
    """Some assets are copies of the first, or multiples of it."""
    for asset in range(1, returns.shape[1]):
        if _maybe(rng, 0.3):
            returns[:, asset] = returns[:, 0] * rng.choice([1.0, 1.0, 2.0, -1.0])


def _constant(rng: np.random.Generator, returns: FloatArray) -> None:
    """Some assets never move, or move by the same every period."""
    count = int(rng.choice([1, 1, 2, returns.shape[1]]))
    returns[:, :count] = rng.choice([0.0, 0.0, 1e-4, -1e-4])


def _nearly_dependent(rng: np.random.Generator, returns: FloatArray) -> None:
    """The last asset is a mixture of the others up to a trace of noise."""
    if returns.shape[1] < 3:
        return
    mixture = returns[:, :-1] @ rng.dirichlet(np.ones(returns.shape[1] - 1))
    noise = 10.0 ** rng.uniform(-14, -5) * rng.normal(size=len(returns))
    returns[:, -1] = mixture + noise


def _rare(rng: np.random.Generator, returns: FloatArray) -> None:
    """Prices that change on few days."""
    returns *= rng.random(returns.shape) < rng.uniform(0.02, 0.5)


def _budgets(rng: np.random.Generator, symbols: tuple[str, ...]) -> dict[str, float] | None:
    if len(symbols) < 2 or _maybe(rng, 0.4):
        return None
    count = int(rng.integers(1, len(symbols)))
    shares = rng.dirichlet(np.ones(count)) * rng.uniform(0.1, 0.9)
    return {symbol: float(max(s, 1e-6)) for symbol, s in zip(symbols, shares, strict=False)}


def _constraints(
    rng: np.random.Generator, symbols: tuple[str, ...], returns: FloatArray
) -> dict[str, Any]:
    n = len(symbols)
    long_only, whole = _maybe(rng, 0.65), _maybe(rng, 0.75)
    chosen: dict[str, Any] = {"long_only": long_only, "sum_to_one": whole}
    chosen["cvar_confidence"] = float(rng.uniform(0.01, 0.1))
    lower, upper = _bounds(rng, symbols, chosen)
    inside = _portfolio(rng, lower, upper, whole=whole)
    spread = returns - returns.mean(axis=0)
    deviation = float(np.sqrt(TRADING_DAYS) * np.std(spread @ inside, ddof=1))
    adders = (
        (0.25, lambda: _groups(rng, symbols, inside)),
        (0.15, lambda: {"current_weights": _some(rng, symbols, inside)}),
        (0.15, lambda: {"transaction_costs": float(10 ** rng.uniform(-5, -1.5))}),
        (0.12, lambda: _turnover(rng, symbols, inside)),
        (0.12, lambda: _tracking(rng, symbols, spread, inside)),
        (0.12, lambda: {"target_return": _target(rng, returns, inside)}),
        (0.12, lambda: {"target_volatility": min(_loose(rng, deviation), 1e3)}),
        (0.12, lambda: {"max_leverage": _loose(rng, float(np.abs(inside).sum()))}),
    )
    for share, add in adders:
        if _maybe(rng, share):
            chosen |= add()
    if n <= SEARCHED and _maybe(rng, 0.08):
        chosen["max_assets"] = int(rng.integers(1, n + 1))
    if n <= SEARCHED and _maybe(rng, 0.08):
        chosen["min_position"] = float(rng.uniform(0.01, 0.3))
    return chosen


def _bounds(
    rng: np.random.Generator, symbols: tuple[str, ...], chosen: dict[str, Any]
) -> tuple[FloatArray, FloatArray]:
    """Bounds into ``chosen``; the same as two arrays of shape (n,)."""
    n, long_only = len(symbols), bool(chosen["long_only"])
    if _maybe(rng, 0.03):
        chosen["min_weight"] = chosen["max_weight"] = 1.0 / n
    elif _maybe(rng, 0.6):
        chosen["max_weight"] = float(rng.uniform(min(1.0, 0.9 / n), 1.0))
        if _maybe(rng, 0.3):
            low = 0.0 if long_only else -1.0
            chosen["min_weight"] = float(rng.uniform(low, min(chosen["max_weight"], 1.1 / n)))
    shared = Constraints(**chosen)
    lower, upper = np.full(n, shared.lower), np.full(n, shared.upper)
    if _maybe(rng, 0.2):
        own = {}
        for asset in np.flatnonzero(rng.random(n) < 0.3).tolist():
            ends = np.sort(rng.uniform(0.0 if long_only else -0.5, 0.6, 2))
            low, high = float(ends[0]), float(ends[1])
            if _maybe(rng, 0.2):
                high = low
            own[symbols[asset]] = AssetBounds(min_weight=low, max_weight=high)
            lower[asset], upper[asset] = low, high
        chosen["asset_bounds"] = own
    return lower, upper


def _portfolio(
    rng: np.random.Generator, lower: FloatArray, upper: FloatArray, *, whole: bool
) -> FloatArray:
    """A portfolio within bounds, and on the budget where it can be."""
    weights = lower + (upper - lower) * rng.random(len(lower)) ** 3
    target = 1.0 if whole else min(float(weights.sum()), 1.0)
    missing = target - float(weights.sum())
    room = upper - weights if missing > 0 else weights - lower
    if float(room.sum()) > 0:
        weights = weights + room * np.clip(missing / float(room.sum()), -1.0, 1.0)
    return np.asarray(weights)


def _loose(rng: np.random.Generator, value: float) -> float:
    """A limit at a value, above it, or now and then below."""
    return abs(value) * float(rng.choice([1.0, 1.0 + rng.exponential(0.3), rng.uniform(0.5, 1)]))


def _some(
    rng: np.random.Generator, symbols: tuple[str, ...], weights: FloatArray
) -> dict[str, float]:
    """Weights to begin from: those, others, or few of them."""
    if _maybe(rng, 0.3):
        return {symbols[int(rng.integers(len(symbols)))]: 1.0}
    held = rng.dirichlet(np.full(len(symbols), 0.5)) if _maybe(rng, 0.6) else weights
    return {symbol: float(weight) for symbol, weight in zip(symbols, held, strict=True)}


def _as_array(symbols: tuple[str, ...], weights: dict[str, float]) -> FloatArray:
    return np.array([weights.get(symbol, 0.0) for symbol in symbols])


def _turnover(
    rng: np.random.Generator, symbols: tuple[str, ...], inside: FloatArray
) -> dict[str, Any]:
    current = _some(rng, symbols, inside)
    distance = float(np.abs(inside - _as_array(symbols, current)).sum())
    return {"current_weights": current, "max_turnover": _loose(rng, distance)}


def _tracking(
    rng: np.random.Generator, symbols: tuple[str, ...], spread: FloatArray, inside: FloatArray
) -> dict[str, Any]:
    benchmark = _some(rng, symbols, inside)
    away = inside - _as_array(symbols, benchmark)
    error = float(np.sqrt(TRADING_DAYS) * np.std(spread @ away, ddof=1))
    return {
        "benchmark_weights": benchmark,
        "max_tracking_error": min(_loose(rng, error), 100.0),
    }


def _target(rng: np.random.Generator, returns: FloatArray, inside: FloatArray) -> float:
    reached = TRADING_DAYS * float(returns.mean(axis=0) @ inside)
    return float(np.clip(reached - rng.choice([0.0, 0.0, 0.1, -0.1]) * abs(reached), -1e3, 1e3))


def _groups(
    rng: np.random.Generator, symbols: tuple[str, ...], inside: FloatArray
) -> dict[str, Any]:
    groups = []
    for position in range(int(rng.integers(1, 4))):
        member = rng.random(len(symbols)) < rng.uniform(0.1, 0.9)
        if not member.any():
            continue
        total, away = float(inside[member].sum()), float(rng.exponential(0.1))
        miss = float(rng.choice([0.0, 0.0, 0.0, rng.normal(0, 0.1)]))
        names = tuple(symbol for symbol, inn in zip(symbols, member, strict=True) if inn)
        low = total + miss - away if _maybe(rng, 0.6) else None
        high = total + miss + float(rng.choice([0.0, away])) if _maybe(rng, 0.6) else None
        groups.append(Group(name=f"G{position}", symbols=names, min_weight=low, max_weight=high))
    return {"groups": tuple(groups)}

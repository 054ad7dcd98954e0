"""Conflicts with limits on deviations against CVXPY: every smaller set of fields, every mend."""

import dataclasses
import itertools
import re
from collections.abc import Iterable
from typing import Any

import cvxpy
import numpy as np
import pytest

from optimization.engine import Constraints, Group, solve
from tests.optimization.engine.convex.six_assets import SYMBOLS, problem_of, refusal_of

cp: Any = cvxpy

YEAR = 252
MIXING = np.random.default_rng(3).normal(0, 0.5, (6, 6)) + np.eye(6)
RETURNS = np.random.default_rng(4).normal(0.0005, 0.01, (90, 6)) @ MIXING
ROOT = np.linalg.cholesky(np.cov(RETURNS.T)).T * np.sqrt(YEAR)
MEAN = RETURNS.mean(axis=0) * YEAR

CLEAR = 0.02
"""Conflicts nearer to none than this are left to those who can tell."""


def vector(weights: Any) -> Any:
    return np.array([(weights or {}).get(symbol, 0.0) for symbol in SYMBOLS])


def limits_of(constraints: Constraints, w: Any, excess: Any) -> dict[str, list[Any]]:
    """Each request field as CVXPY constraints; deviations may exceed their limits by a factor."""
    found: dict[str, list[Any]] = {
        "constraints.sum_to_one": [cp.sum(w) >= 1] if constraints.sum_to_one else [],
        "constraints.max_weight": [w <= constraints.upper],
    }
    low = "constraints.long_only" if constraints.long_only else "constraints.min_weight"
    found[low] = [w >= constraints.lower]
    for number, group in enumerate(constraints.groups):
        total = vector(dict.fromkeys(group.symbols, 1.0)) @ w
        rows = found.setdefault(f"constraints.groups[{number}]", [])
        rows += [] if group.min_weight is None else [total >= group.min_weight]
        rows += [] if group.max_weight is None else [total <= group.max_weight]
    if constraints.max_turnover is not None:
        traded = cp.norm1(w - vector(constraints.current_weights))
        found["constraints.max_turnover"] = [traded <= constraints.max_turnover]
    if constraints.max_leverage is not None:
        found["constraints.max_leverage"] = [cp.norm1(w) <= constraints.max_leverage]
    if constraints.target_return is not None:
        costs = float(constraints.transaction_costs)  # type: ignore[arg-type]
        paid = costs * cp.norm1(w - vector(constraints.current_weights))
        found["constraints.target_return"] = [MEAN @ w - paid >= constraints.target_return]
    for name, origin in (("target_volatility", None), ("max_tracking_error", "benchmark_weights")):
        limit = getattr(constraints, name)
        if limit is not None:
            away = w - vector(getattr(constraints, origin) if origin else None)
            found[f"constraints.{name}"] = [cp.norm(ROOT @ away) <= limit * excess]
    return found


def least_excess(constraints: Constraints, fields: Iterable[str] | None = None) -> float:
    """By what factor deviations must exceed their limits under some fields; inf without any w."""
    w, excess = cp.Variable(6), cp.Variable(nonneg=True)
    limits = limits_of(constraints, w, excess)
    kept = [row for field in (limits if fields is None else fields) for row in limits[field]]
    problem = cp.Problem(cp.Minimize(excess), [cp.sum(w) <= 1, *kept])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value) if problem.status in ("optimal", "optimal_inaccurate") else np.inf


def random_constraints(seed: int) -> Constraints:
    rng = np.random.default_rng(seed)

    def maybe(share: float) -> bool:
        return bool(rng.random() < share)

    chosen: dict[str, Any] = {"long_only": maybe(0.6), "sum_to_one": maybe(0.8)}
    if not chosen["long_only"]:
        chosen["min_weight"] = -float(rng.uniform(0.1, 0.6))
    if maybe(0.6):
        chosen["max_weight"] = float(rng.uniform(0.2, 0.7))
    if maybe(0.5):
        members = tuple(str(s) for s in rng.choice(SYMBOLS, 2, replace=False))
        low = float(rng.uniform(0.2, 0.6))
        chosen["groups"] = (Group(name="g", symbols=members, min_weight=low),)
    if maybe(0.4):
        chosen["current_weights"] = {str(rng.choice(SYMBOLS)): 1.0}
        chosen["max_turnover"] = float(rng.uniform(0.4, 1.6))
    if maybe(0.2):
        chosen["max_leverage"] = float(rng.uniform(1.0, 1.6))
    if maybe(0.3):
        chosen["target_return"] = float(rng.uniform(0.0, 0.3))
        chosen["transaction_costs"] = float(rng.choice([0.0, 0.02]))
    which = rng.integers(3)
    if which != 1:
        chosen["target_volatility"] = float(rng.uniform(0.03, 0.2))
    if which != 0:
        chosen["benchmark_weights"] = {str(rng.choice(SYMBOLS)): 1.0}
        chosen["max_tracking_error"] = float(rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0.01, 0.2))
    return Constraints(**chosen)


def is_clear(constraints: Constraints) -> bool:
    """Whether the deviations alone stand in the way, and by more than a little."""
    excess = least_excess(constraints)
    return 1 + CLEAR < excess < np.inf


CONFLICTS = [seed for seed in range(110) if is_clear(random_constraints(seed))]


def test_there_are_enough_conflicts_of_every_kind_to_learn_from() -> None:
    assert len(CONFLICTS) >= 30
    named = set().union(
        *(refusal_of(RETURNS, random_constraints(seed)).fields for seed in CONFLICTS)
    )
    assert {f"constraints.{name}" for name in ("target_volatility", "max_tracking_error")} <= named
    assert {f"constraints.{name}" for name in ("max_turnover", "max_weight", "groups[0]")} <= named


@pytest.mark.parametrize("seed", CONFLICTS)
def test_the_named_set_conflicts_and_no_smaller_part_of_it_does(seed: int) -> None:
    constraints = random_constraints(seed)
    fields = refusal_of(RETURNS, constraints).fields
    assert least_excess(constraints, fields) > 1
    for fewer in itertools.combinations(fields, len(fields) - 1):
        if least_excess(constraints, fewer) > 1 + 1e-6:
            pytest.fail(f"{fewer} conflict without the rest of {fields}")


@pytest.mark.parametrize("seed", CONFLICTS)
def test_each_mend_works_and_none_smaller_would(seed: int) -> None:
    constraints = random_constraints(seed)
    mends = re.findall(
        r"raise (target_volatility|max_tracking_error) to ([\d.e-]+)",
        refusal_of(RETURNS, constraints).message,
    )
    limits = (constraints.target_volatility, constraints.max_tracking_error)
    assert mends or None not in limits
    for name, value in mends:
        enough: Any = {name: float(value) * (1 + 1e-5)}  # told in six digits
        mended = dataclasses.replace(constraints, **enough)
        assert least_excess(mended) <= 1 + 1e-6
        less: Any = {name: float(value) * 0.98}
        assert least_excess(dataclasses.replace(constraints, **less)) > 1 + 1e-6
        solution: Any = solve(problem_of(RETURNS, mended))
        assert solution.max_violation <= 1e-9

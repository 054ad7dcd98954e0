"""Linear programmes over limits on trades and leverage against SciPy's, in its own formulation."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from optimization.engine.convex.lifting import Lifting
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.region import TARGET_RETURN, Region, Row
from optimization.engine.errors import InfeasibleProblemError

ASSETS = 7
EASED = 1e-6


def random_region(seed: int) -> Region:
    """Bounds, some rows, and limits on trades and leverage, each as often absent."""
    rng = np.random.default_rng(seed)

    def maybe(share: float) -> bool:
        return bool(rng.random() < share)

    lower = rng.uniform(-0.4, 0.1, ASSETS) if maybe(0.6) else np.zeros(ASSETS)
    current = rng.uniform(-0.3, 0.5, ASSETS) * rng.integers(0, 2, ASSETS)
    rows = []
    if maybe(0.5):
        members = rng.integers(0, 2, ASSETS).astype(float)
        rows.append(Row("constraints.groups[0]", "group g", members, -0.1, 0.6))
    if maybe(0.6):
        mean = rng.normal(0.1, 0.4, ASSETS)
        rows.append(Row(TARGET_RETURN, "the expected return", mean, 0.2, np.inf))
    return Region(
        lower=lower,
        upper=lower + rng.uniform(0.2, 0.8, ASSETS),
        budget_low=1.0 if maybe(0.5) else -np.inf,
        budget_high=1.0,
        rows=tuple(rows),
        current=current,
        costs=rng.uniform(0.0, 0.1, ASSETS) if maybe(0.5) else np.zeros(ASSETS),
        turnover=float(rng.uniform(0.3, 2.0)) if maybe(0.6) else np.inf,
        leverage=float(rng.uniform(0.8, 2.0)) if maybe(0.6) else np.inf,
    )


def least_by_scipy(gradient: Any, region: Region, cost_weight: float) -> float:
    """The minimum over weights, traded amounts t ≥ ±(w − current) and absolute ones a ≥ ±w."""
    eye, none = np.eye(ASSETS), np.zeros((ASSETS, ASSETS))
    zero, one = np.zeros(ASSETS), np.ones(ASSETS)
    rows: list[Any] = []
    for sign in (1.0, -1.0):
        rows += zip(np.hstack([sign * eye, -eye, none]), sign * region.current, strict=True)
        rows += zip(np.hstack([sign * eye, none, -eye]), zero, strict=True)
    rows.append((np.concatenate([one, zero, zero]), region.budget_high))
    rows.append((np.concatenate([-one, zero, zero]), -region.budget_low))
    rows.append((np.concatenate([zero, one, zero]), region.turnover))
    rows.append((np.concatenate([zero, zero, one]), region.leverage))
    for row in region.rows:
        paid = region.costs if row.field == TARGET_RETURN else zero
        rows.append((np.concatenate([row.coefficients, zero, zero]), row.high))
        rows.append((np.concatenate([-row.coefficients, paid, zero]), -row.low))
    matrix, right = zip(*(row for row in rows if np.isfinite(row[1])), strict=True)
    bounds = [*zip(region.lower, region.upper, strict=True), *[(0, None)] * (2 * ASSETS)]
    cost = np.concatenate([gradient, cost_weight * region.costs, zero])
    outcome = linprog(cost, np.array(matrix), np.array(right), bounds=bounds)
    return float(outcome.fun) if outcome.status == 0 else np.inf


def gradient_of(seed: int) -> Any:
    return np.random.default_rng(1000 + seed).normal(0.0, 1.0, ASSETS)


SEEDS = range(150)
FEASIBLE = [s for s in SEEDS if least_by_scipy(gradient_of(s), random_region(s), 1.0) < np.inf]


def test_both_kinds_are_many() -> None:
    assert 60 <= len(FEASIBLE) <= 140


@pytest.mark.parametrize("seed", FEASIBLE)
def test_the_minimum_and_where_it_is_attained_are_exact(seed: int) -> None:
    region, gradient = random_region(seed), gradient_of(seed)
    best = minimise_linear(gradient, region, 1.0)
    assert best.value == pytest.approx(least_by_scipy(gradient, region, 1.0), abs=1e-9)
    assert region.violation(best.weights) <= 1e-9
    attained = float(gradient @ best.weights) + region.cost(best.weights)
    assert attained == pytest.approx(best.value, abs=1e-9)


@pytest.mark.parametrize("seed", sorted(set(SEEDS) - set(FEASIBLE)))
def test_only_what_is_empty_is_refused(seed: int) -> None:
    with pytest.raises(InfeasibleProblemError):
        minimise_linear(gradient_of(seed), random_region(seed), 1.0)


@pytest.mark.parametrize("seed", FEASIBLE)
def test_multipliers_promise_no_less_than_a_wider_limit_gives(seed: int) -> None:
    """Each multiplier is a slope of a convex function, so what it promises is a bound."""
    region, gradient = random_region(seed), gradient_of(seed)
    best = minimise_linear(gradient, region, 1.0)
    eased = [
        (dataclasses.replace(region, turnover=region.turnover + EASED), -best.turnover),
        (dataclasses.replace(region, leverage=region.leverage + EASED), -best.leverage),
    ]
    for asset in range(ASSETS):
        step = EASED * np.eye(ASSETS)[asset]
        wider = dataclasses.replace(region, lower=region.lower - step)
        eased.append((wider, max(float(best.reduced[asset]), 0.0)))
        wider = dataclasses.replace(region, upper=region.upper + step)
        eased.append((wider, max(float(-best.reduced[asset]), 0.0)))
    for wider, multiplier in eased:
        gained = best.value - least_by_scipy(gradient, wider, 1.0)
        assert gained <= multiplier * EASED + 1e-9


def test_parts_of_a_weight_stay_between_its_bends() -> None:
    region = dataclasses.replace(
        random_region(0),
        lower=np.full(ASSETS, -0.5),
        upper=np.full(ASSETS, 0.5),
        current=np.full(ASSETS, 0.2),
        turnover=1.0,
        leverage=2.0,
    )
    low, high = Lifting(region).bounds(region.lower, region.upper)
    mid, above, below = np.split(high, 3)
    assert mid == pytest.approx(0.2)
    assert above == pytest.approx(0.3)
    assert below == pytest.approx(0.5)
    assert not low.any()

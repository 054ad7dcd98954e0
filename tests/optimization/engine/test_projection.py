"""The projection against quadratic programming and its optimality conditions."""

import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimization.engine.feasible import FeasibleSet
from optimization.engine.problem import FloatArray
from optimization.engine.projection import project, project_rows

BUDGET_PRECISION = 1e-12


def _random_set(rng: np.random.Generator, assets: int) -> FeasibleSet:
    lower = rng.uniform(-1, 0.5, assets) * rng.integers(0, 2, assets)
    upper = lower + rng.uniform(0, 1, assets) * rng.integers(0, 2, assets) + 0.01
    low, high = np.sort(rng.uniform(lower.sum(), upper.sum(), 2))
    if rng.integers(0, 2):
        low = high
    return FeasibleSet(lower, upper, float(low), float(high))


def _nearest_by_quadratic_program(point: FloatArray, feasible: FeasibleSet) -> FloatArray:
    n = len(point)
    answer, _, flag, _ = daqp.solve(
        np.eye(n),
        -point,
        np.ones((1, n)),
        np.append(feasible.upper, feasible.budget_high),
        np.append(feasible.lower, feasible.budget_low),
        np.zeros(n + 1, dtype=np.int32),
    )
    assert flag == 1
    return np.asarray(answer)


@given(seed=st.integers(0, 2**32 - 1), assets=st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_the_projection_is_the_quadratic_programs_answer(seed: int, assets: int) -> None:
    rng = np.random.default_rng(seed)
    feasible = _random_set(rng, assets)
    points = rng.normal(size=(4, assets)) * 10.0 ** rng.integers(-3, 2)
    nearest = project(points, feasible)
    for point, row in zip(points, nearest, strict=True):
        reference = _nearest_by_quadratic_program(point, feasible)
        assert np.abs(row - reference).max() <= 1e-7
        distance = np.linalg.norm(point - row)
        assert distance <= np.linalg.norm(point - reference) + 1e-9


@given(
    seed=st.integers(0, 2**32 - 1),
    assets=st.integers(1, 200),
    exponent=st.integers(-8, 8),
)
@settings(max_examples=150, deadline=None)
def test_every_projection_is_feasible(seed: int, assets: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    feasible = _random_set(rng, assets)
    points = rng.standard_cauchy((8, assets)) * 10.0**exponent
    for row in project(points, feasible):
        assert (row >= feasible.lower).all()
        assert (row <= feasible.upper).all()
        assert feasible.violation(row) <= BUDGET_PRECISION


def test_a_feasible_point_stays_where_it_is() -> None:
    feasible = FeasibleSet(np.zeros(4), np.full(4, 0.5), 0.2, 1.0)
    point = np.array([0.1, 0.2, 0.0, 0.5])
    assert np.array_equal(project(point, feasible), point)


def test_a_single_portfolio_keeps_its_shape() -> None:
    feasible = FeasibleSet(np.zeros(3), np.ones(3), 1.0, 1.0)
    assert project(np.array([2.0, 0.0, 0.0]), feasible) == pytest.approx([1, 0, 0], abs=1e-15)


def test_weights_at_a_bound_are_exactly_at_it() -> None:
    rng = np.random.default_rng(3)
    feasible = FeasibleSet(np.zeros(30), np.full(30, 0.4), 1.0, 1.0)
    rows = project(rng.normal(size=(200, 30)), feasible)
    near_bound = (rows < 1e-12) | (rows > 0.4 - 1e-12)
    assert np.isin(rows[near_bound], [0.0, 0.4]).all()


def test_rows_with_bounds_of_their_own_are_projected_one_by_one() -> None:
    rng = np.random.default_rng(4)
    points, lower = rng.normal(size=(6, 5)), np.zeros((6, 5))
    upper = rng.uniform(0.3, 1, (6, 5))
    rows = project_rows(points, lower, upper, (1.0, 1.0))
    for row, point, low, high in zip(rows, points, lower, upper, strict=True):
        single = project(point, FeasibleSet(low, high, 1.0, 1.0))
        assert np.abs(row - single).max() <= 1e-15


def test_bounds_that_only_just_meet_the_budget_are_filled() -> None:
    feasible = FeasibleSet(np.zeros(5), np.full(5, 0.2), 1.0, 1.0)
    row = project(np.arange(5.0), feasible)
    assert row == pytest.approx(np.full(5, 0.2), abs=1e-15)

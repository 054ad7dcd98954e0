"""Conic programmes whose optimum is known in closed form, from rough starts to the last digit."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from optimization.engine.convex.conic import (
    ConicPoint,
    ConicProgramme,
    interior_point,
    polish,
    residual,
)
from optimization.engine.errors import InfeasibleProblemError


def within_ball(linear: Any, *, bounds: Any = (), repeated: int = 1) -> ConicProgramme:
    """Minimise linear'x over ‖x‖ ≤ 1 and x[i] ≤ limit for each (i, limit) of ``bounds``."""
    d = len(linear)
    rows = [np.eye(d)[asset] for asset, _ in bounds for _ in range(repeated)]
    limits = [limit for _, limit in bounds for _ in range(repeated)]
    matrix = np.vstack([*rows, np.zeros((1, d)), -np.eye(d)])
    return ConicProgramme(
        quadratic=sparse.csr_array((d, d)),
        linear=np.asarray(linear, dtype=np.float64),
        matrix=sparse.csr_array(matrix),
        limits=np.array([*limits, 1.0, *np.zeros(d)]),
        zero=0,
        nonnegative=len(limits),
        cones=(d + 1,),
    )


def test_a_linear_cost_on_a_ball_ends_on_its_boundary() -> None:
    linear = np.array([3.0, -4.0, 12.0])
    programme = within_ball(linear)
    found = polish(programme, interior_point(programme, 1e-6, equilibrate=True))
    assert found.x == pytest.approx(-linear / 13, abs=1e-14)
    assert residual(programme, found) <= 1e-13


@pytest.mark.parametrize("repeated", [1, 3])
def test_bounds_and_ball_hold_together_even_when_rows_repeat(repeated: int) -> None:
    # x₀ would be −0.6 without its bound −0.8; the rest of the ball's radius is left for x₁.
    programme = within_ball([3.0, -4.0], bounds=[(0, -0.8)], repeated=repeated)
    found = polish(programme, interior_point(programme, 1e-6, equilibrate=True))
    assert found.x == pytest.approx([-0.8, 0.6], abs=1e-12)


def test_a_ball_that_does_not_bind_is_left_alone() -> None:
    programme = within_ball([-1.0, 0.0], bounds=[(0, 0.25)])
    found = polish(programme, interior_point(programme, 1e-6, equilibrate=True))
    assert found.x[0] == pytest.approx(0.25, abs=1e-14)
    assert found.z[1:] == pytest.approx(np.zeros(3), abs=1e-14)


def test_a_ball_of_radius_zero_leaves_its_centre() -> None:
    programme = within_ball([1.0, 2.0])
    point = ConicProgramme(
        programme.quadratic, programme.linear, programme.matrix, np.zeros(3), 0, 0, (3,)
    )
    found = polish(point, interior_point(point, 1e-8, equilibrate=True))
    assert found.x == pytest.approx([0.0, 0.0], abs=1e-12)


def test_polishing_never_leaves_a_point_worse() -> None:
    programme = within_ball([3.0, -4.0], bounds=[(0, -0.8)])
    rng = np.random.default_rng(5)
    for _ in range(20):
        start = ConicPoint(rng.normal(size=2), rng.normal(size=4))
        assert residual(programme, polish(programme, start)) <= residual(programme, start)


def test_no_point_is_an_answer_of_its_own() -> None:
    programme = within_ball([1.0, 0.0], bounds=[(0, -1.5)])
    with pytest.raises(InfeasibleProblemError):
        interior_point(programme, 1e-9, equilibrate=True)

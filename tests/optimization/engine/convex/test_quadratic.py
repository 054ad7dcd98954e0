"""A quadratic programme that is solved again and again against one that is made anew each time."""

from typing import Any

import numpy as np
import pytest

from optimization.engine import Constraints, Group, Problem
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.convex.region import region_of
from optimization.engine.moments import sample_covariance


def programme_of(n: int, seed: int, **limits: Any) -> QuadraticProgramme:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0005, 0.01, (300, n)) @ (np.eye(n) + rng.normal(0, 0.3, (n, n)))
    problem = Problem(
        returns=returns,
        symbols=tuple(f"A{asset}" for asset in range(n)),
        constraints=Constraints(**limits),
    )
    region = region_of(problem, returns.mean(axis=0))
    return QuadraticProgramme(sample_covariance(returns), region)


CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "few": (12, {"max_weight": 0.3}),
    "many": (90, {"max_weight": 0.1}),
    "short": (40, {"long_only": False, "max_weight": 0.2}),
    "cash and a group": (
        30,
        {
            "sum_to_one": False,
            "groups": (Group(name="g", symbols=("A0", "A1"), max_weight=0.1, min_weight=0.05),),
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(5))
def test_solving_again_from_the_last_active_set_gives_the_same_optimum(
    case: str, seed: int
) -> None:
    n, limits = CASES[case]
    warm, rng = programme_of(n, seed, **limits), np.random.default_rng(seed)
    unit = float(np.sqrt(warm.quadratic.mean_variance))
    for size in (0.0, 1e-3, 0.1, 1.0, 1e-3, 30.0, 0.1):
        linear = rng.normal(0.0, size, n) * unit**2
        again, anew = warm.solve(linear), programme_of(n, seed, **limits).solve(linear)
        assert again.weights == pytest.approx(anew.weights, abs=1e-9)
        assert warm.contains(again.weights, 1e-11)

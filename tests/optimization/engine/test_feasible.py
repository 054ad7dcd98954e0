"""Bounds in conflict are refused with a mend that mends."""

import re
from dataclasses import replace

import numpy as np
import pytest

from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.feasible import check_bounds
from optimization.engine.problem import AssetBounds, Constraints, Objective, Problem


def _problem(assets: int, constraints: Constraints) -> Problem:
    return Problem(
        returns=np.random.default_rng(0).normal(0.001, 0.01, (30, assets)),
        symbols=tuple(f"A{i}" for i in range(assets)),
        objective=Objective.MINIMIZE_VARIANCE,
        constraints=constraints,
    )


def _advised(problem: Problem, field: str) -> float:
    with pytest.raises(InfeasibleProblemError) as caught:
        check_bounds(problem)
    match = re.search(rf"{field} to at (?:least|most) ([\d.]+?)(?: or|$)", caught.value.message)
    assert match, caught.value.message
    return float(match[1])


@pytest.mark.parametrize("assets", [2, 3, 6, 7, 9, 11, 19, 300])
def test_the_advised_maximum_weight_is_enough_and_hardly_more(assets: int) -> None:
    problem = _problem(assets, Constraints(max_weight=0.5 / assets))
    advised = _advised(problem, "max_weight")
    check_bounds(replace(problem, constraints=Constraints(max_weight=advised)))
    assert advised == pytest.approx(1 / assets, abs=1.1e-6)


@pytest.mark.parametrize("assets", [2, 3, 6, 7, 9, 11, 19, 300])
def test_the_advised_minimum_weight_is_low_enough_and_hardly_less(assets: int) -> None:
    problem = _problem(assets, Constraints(min_weight=min(1.0, 1.5 / assets)))
    advised = _advised(problem, "min_weight")
    check_bounds(replace(problem, constraints=Constraints(min_weight=advised)))
    assert advised == pytest.approx(1 / assets, abs=1.1e-6)


def test_assets_with_bounds_of_their_own_keep_them_in_the_advice() -> None:
    own = {"A0": AssetBounds(max_weight=0.1)}
    problem = _problem(4, Constraints(max_weight=0.2, asset_bounds=own))
    advised = _advised(problem, "max_weight")
    check_bounds(replace(problem, constraints=Constraints(max_weight=advised, asset_bounds=own)))
    assert advised == pytest.approx(0.3)

"""Hierarchical risk parity, against skfolio's."""

from typing import Any

import numpy as np
import pytest
from skfolio.moments import LedoitWolf
from skfolio.optimization import HierarchicalRiskParity
from skfolio.prior import EmpiricalPrior

from optimization.engine import Constraints, Objective, Problem, solve
from optimization.engine.convex.hierarchy import leaf_order, split_by_risk
from optimization.engine.errors import InvalidProblemError
from optimization.engine.problem import FloatArray
from tests.optimization.engine.convex.linear_reference import draw


def problem_of(seed: int, **limits: Any) -> Problem:
    rng = np.random.default_rng([seed, 9])
    n = int(rng.integers(2, 30))
    return Problem(
        returns=draw(rng, n, int(rng.integers(40, 300))),
        symbols=tuple(f"S{asset}" for asset in range(n)),
        objective=Objective.HIERARCHICAL_RISK_PARITY,
        constraints=Constraints(**limits),
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("is_shrunk", [False, True], ids=["sample", "ledoit_wolf"])
def test_the_tree_splits_risk_as_skfolios_within_the_bounds(seed: int, is_shrunk: bool) -> None:
    n = problem_of(seed).n_assets
    problem = problem_of(seed, min_weight=0.4 / n, max_weight=min(1.0, 1.5 / n))
    prior = EmpiricalPrior(covariance_estimator=LedoitWolf()) if is_shrunk else EmpiricalPrior()
    model = HierarchicalRiskParity(
        prior_estimator=prior, min_weights=0.4 / n, max_weights=min(1.0, 1.5 / n)
    )
    theirs = model.fit(problem.returns).weights_
    kind = "ledoit_wolf" if is_shrunk else "sample"
    ours = solve(problem, parameters={"covariance": kind}).weights
    assert ours == pytest.approx(theirs, abs=1e-10)
    assert float(ours.max()) <= 1.5 / n + 1e-12


def test_like_assets_are_neighbours_in_the_tree() -> None:
    rng = np.random.default_rng(5)
    pairs = rng.normal(size=(200, 3))
    returns = np.repeat(pairs, 2, axis=1)[:, [0, 2, 4, 1, 3, 5]] + rng.normal(0, 0.01, (200, 6))
    correlation: FloatArray = np.asarray(np.corrcoef(returns, rowvar=False))
    order = leaf_order(correlation)
    assert sorted(tuple(sorted(order[place : place + 2])) for place in (0, 2, 4)) == [
        (0, 3),
        (1, 4),
        (2, 5),
    ]


def test_halves_without_any_risk_have_none_to_share() -> None:
    nothing = np.array([[1.0, -1.0], [-1.0, 1.0]])
    covariance = np.kron(np.eye(2), nothing)
    assert split_by_risk(covariance, [0, 1, 2, 3], np.zeros(4), np.ones(4)) is None


def test_an_asset_that_hardly_moves_is_refused_by_name() -> None:
    returns = draw(np.random.default_rng(4), 3, 50) * [1.0, 1.0, 1e-170]
    problem = Problem(
        returns=returns,
        symbols=("RISK", "MORE", "FLAT"),
        objective=Objective.HIERARCHICAL_RISK_PARITY,
    )
    with pytest.raises(InvalidProblemError, match="hardly move") as caught:
        solve(problem)
    assert caught.value.fields == ("symbols", "parameters.lookback")

"""Products, variances and roots of a covariance against numpy."""

from typing import Any

import numpy as np
import pytest

from optimization.engine.covariance import Covariance
from optimization.engine.moments import ledoit_wolf, sample_covariance
from optimization.engine.sums import CACHED


def test_products_by_parts_are_those_of_the_whole() -> None:
    """More rows than a processor's cache holds are gone through in parts."""
    returns = np.random.default_rng(5).normal(0.001, 0.01, (700, 450))
    covariance, weights = sample_covariance(returns), np.linspace(-1, 1, 450)
    assert returns.size > 2 * CACHED
    expected = np.cov(returns.T) @ weights
    assert covariance.times(weights) == pytest.approx(expected, rel=1e-11, abs=1e-17)


def test_a_guess_takes_the_last_rows_of_many() -> None:
    """A multiple of what they say alone, and everything where the rows are few."""
    returns = np.random.default_rng(5).normal(0.001, 0.01, (3000, 100))
    weights, covariance = np.linspace(-1, 1, 100), sample_covariance(returns)
    assert returns.size > 2 * CACHED
    centred = returns[-750:] - returns.mean(axis=0)
    guess = covariance.roughly_times(weights)
    assert guess == pytest.approx(4 / 2999 * centred.T @ (centred @ weights), rel=1e-10, abs=1e-17)
    few = sample_covariance(returns[:1000])
    assert (few.roughly_times(weights) == few.times(weights)).all()


@pytest.mark.parametrize("estimate", [sample_covariance, ledoit_wolf])
def test_factored_products_are_those_of_the_matrix(returns: Any, estimate: Any) -> None:
    covariance, weights = estimate(returns), np.linspace(-1, 1, 12)
    assets = np.array([1, 5, 7])
    assert covariance.times(weights) == pytest.approx(covariance.dense @ weights, rel=1e-12)
    assert covariance.variance(weights) == pytest.approx(
        weights @ covariance.dense @ weights, rel=1e-12
    )
    assert covariance.variances == pytest.approx(np.diagonal(covariance.dense), rel=1e-12)
    assert covariance.block(assets) == pytest.approx(
        covariance.dense[np.ix_(assets, assets)], rel=1e-12
    )
    root = covariance.root()
    assert root.T @ root == pytest.approx(covariance.dense, abs=1e-17)


@pytest.mark.parametrize("estimate", [sample_covariance, ledoit_wolf])
@pytest.mark.parametrize("shape", [(300, 12), (12, 12), (5, 12)])
def test_a_root_squares_to_the_covariance(estimate: Any, shape: Any) -> None:
    covariance = estimate(np.random.default_rng(4).normal(0, 0.01, shape))
    root = covariance.root()
    assert len(root) <= 12
    assert root.T @ root == pytest.approx(covariance.dense, abs=1e-18)


def test_the_variance_of_a_hedge_keeps_its_digits() -> None:
    """Long an asset, short its twin but for a trace of noise."""
    rng = np.random.default_rng(6)
    asset, noise = rng.normal(0, 0.01, 200), rng.normal(0, 1e-12, 200)
    returns = np.column_stack([asset, asset + noise])
    spread = returns[:, 1] - returns[:, 0]
    variance = sample_covariance(returns).variance(np.array([-1.0, 1.0]))
    assert variance == pytest.approx(np.var(spread, ddof=1), rel=1e-3)


@pytest.mark.parametrize("ridge", [0.0, 1e-5])
def test_what_was_worked_out_before_changes_no_product(ridge: float) -> None:
    """Gathered columns serve weights on them only, and a product the very same weights."""
    rng = np.random.default_rng(6)
    returns = rng.normal(0.001, 0.01, (400, 90))
    covariance = Covariance(returns, returns.mean(axis=0), 1 / 399, ridge)
    whole = np.cov(returns.T) + ridge * np.eye(90)
    assert not covariance.times(np.zeros(90)).any()
    for count in (30, 50, 1):
        assets = np.sort(rng.choice(90, count, replace=False))
        assert covariance.block(assets) == pytest.approx(whole[np.ix_(assets, assets)], abs=1e-17)
        inside = np.zeros(90)
        inside[assets] = rng.uniform(0, 1, count)
        for weights in (inside, inside, rng.uniform(0, 1, 90), inside, np.zeros(90)):
            expected = whole @ weights
            assert covariance.times(weights) == pytest.approx(expected, rel=1e-11, abs=1e-17)
        inside[assets] *= 2  # the caller's own array may go on changing
        assert covariance.times(inside) == pytest.approx(whole @ inside, rel=1e-11, abs=1e-17)

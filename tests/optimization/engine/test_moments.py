"""Moments against numpy, scikit-learn and a recomputation."""

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from optimization.engine.moments import (
    Covariance,
    Estimate,
    RollingMoments,
    estimate_covariance,
    ledoit_wolf,
    sample_covariance,
)
from optimization.engine.sums import CACHED


@pytest.fixture
def returns() -> Any:
    rng = np.random.default_rng(7)
    return rng.normal(0.001, 0.01, (300, 12)) * np.linspace(0.5, 3, 12)


def test_sample_covariance_is_numpys(returns: Any) -> None:
    assert sample_covariance(returns).dense == pytest.approx(np.cov(returns.T), abs=1e-18)


@pytest.mark.parametrize("shape", [(50, 12), (12, 50), (10, 10), (2, 3), (6, 1)])
def test_shrinkage_is_scikit_learns(shape: Any) -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, shape)
    expected = LedoitWolf().fit(returns).covariance_
    assert ledoit_wolf(returns).dense == pytest.approx(expected, abs=1e-16)


@pytest.mark.parametrize("seed", range(8))
def test_two_periods_are_not_shrunk_by_rounding(seed: int) -> None:
    """Both deviate from their mean by the same row, so nothing tells noise from signal."""
    returns = np.random.default_rng(seed).normal(0.001, 0.02, (2, 28))
    covariance = ledoit_wolf(returns)
    assert covariance.ridge == 0.0
    assert covariance.dense == pytest.approx(np.cov(returns.T, ddof=0), abs=1e-18)


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


def test_a_covariance_is_worked_out_at_first_use() -> None:
    made: list[Covariance] = []

    def make() -> Covariance:
        made.append(sample_covariance(np.eye(3)))
        return made[-1]

    estimate = Estimate(make)
    assert not made
    assert estimate.covariance is estimate.covariance
    assert len(made) == 1


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


def test_a_moving_window_keeps_its_moments(returns: Any) -> None:
    moments = RollingMoments(returns[:100])
    for step in range(200):
        moments.replace_row(returns[step], returns[100 + step])
    window = returns[200:300]
    assert moments.mean == pytest.approx(window.mean(axis=0), abs=1e-15)
    assert moments.covariance().dense == pytest.approx(np.cov(window.T), abs=1e-17)


@pytest.mark.parametrize("estimate", [sample_covariance, ledoit_wolf])
@pytest.mark.parametrize("shape", [(300, 12), (12, 12), (5, 12)])
def test_a_root_squares_to_the_covariance(estimate: Any, shape: Any) -> None:
    covariance = estimate(np.random.default_rng(4).normal(0, 0.01, shape))
    root = covariance.root()
    assert len(root) <= 12
    assert root.T @ root == pytest.approx(covariance.dense, abs=1e-18)


def test_the_root_of_rolling_moments_is_that_of_their_window(returns: Any) -> None:
    rolling = RollingMoments(returns[:-1]).covariance()
    root = rolling.root()
    assert root.T @ root == pytest.approx(np.cov(returns[:-1].T), abs=1e-16)


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


def test_an_estimator_on_request_is_taken_however_few_the_rows() -> None:
    few, many = np.random.default_rng(1).normal(0, 0.01, (2, 30, 20))[:, :, :16]
    assert estimate_covariance(few, "sample").covariance.kind == "sample"
    assert estimate_covariance(few).covariance.kind == "ledoit_wolf"
    assert estimate_covariance(many[:, :15]).covariance.kind == "sample"
    assert estimate_covariance(many[:, :15], "ledoit_wolf").covariance.kind == "ledoit_wolf"

"""Estimates of moments against numpy and scikit-learn."""

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from optimization.engine.covariance import Covariance
from optimization.engine.moments import (
    Estimate,
    estimate_covariance,
    ledoit_wolf,
    sample_covariance,
)


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


def test_a_covariance_is_worked_out_at_first_use() -> None:
    made: list[Covariance] = []

    def make() -> Covariance:
        made.append(sample_covariance(np.eye(3)))
        return made[-1]

    estimate = Estimate(make)
    assert not made
    assert estimate.covariance is estimate.covariance
    assert len(made) == 1


def test_an_estimator_on_request_is_taken_however_few_the_rows() -> None:
    few, many = np.random.default_rng(1).normal(0, 0.01, (2, 30, 20))[:, :, :16]
    assert estimate_covariance(few, "sample").covariance.kind == "sample"
    assert estimate_covariance(few).covariance.kind == "ledoit_wolf"
    assert estimate_covariance(many[:, :15]).covariance.kind == "sample"
    assert estimate_covariance(many[:, :15], "ledoit_wolf").covariance.kind == "ledoit_wolf"

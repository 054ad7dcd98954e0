"""Moments of a moving window against a recomputation."""

from typing import Any

import numpy as np
import pytest

from optimization.engine.rolling import RollingMoments


def test_a_moving_window_keeps_its_moments(returns: Any) -> None:
    moments = RollingMoments(returns[:100])
    for step in range(200):
        moments.replace_row(returns[step], returns[100 + step])
    window = returns[200:300]
    assert moments.mean == pytest.approx(window.mean(axis=0), abs=1e-15)
    assert moments.covariance().dense == pytest.approx(np.cov(window.T), abs=1e-17)


def test_the_root_of_rolling_moments_is_that_of_their_window(returns: Any) -> None:
    rolling = RollingMoments(returns[:-1]).covariance()
    root = rolling.root()
    assert root.T @ root == pytest.approx(np.cov(returns[:-1].T), abs=1e-16)

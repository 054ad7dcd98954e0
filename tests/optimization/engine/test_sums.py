"""Sums over a window, taken piece by piece."""

import numpy as np
import pytest

from optimization.engine.sums import CACHED, mean_and_squares


@pytest.mark.parametrize("shape", [(2, 1), (1260, 20), (300, 1000), (5, CACHED + 1)])
def test_pieces_add_up_to_the_whole(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(5).normal(0.001, 0.01, shape)
    mean, squares = mean_and_squares(rows)
    assert mean == pytest.approx(rows.mean(axis=0), rel=1e-12, abs=1e-17)
    assert squares == pytest.approx(float((rows**2).sum()), rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (299, 999), (150, 500)])
def test_what_is_not_finite_shows_in_the_squares(value: float, place: tuple[int, int]) -> None:
    rows = np.zeros((300, 1000))
    rows[place] = value
    assert not np.isfinite(mean_and_squares(rows)[1])

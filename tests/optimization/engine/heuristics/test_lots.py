"""Rounding to whole lots."""

import numpy as np
import pytest

from optimization.engine.heuristics.lots import snap_bounds, whole_lots


def test_bounds_are_drawn_in_to_whole_lots() -> None:
    lower, upper = snap_bounds(np.array([0.1, 0.0]), np.array([0.5, 0.3]), np.array([0.04, 0.1]))
    assert lower == pytest.approx([0.12, 0.0])
    assert upper == pytest.approx([0.48, 0.3])


def _rounded(weights: list[float], lots: list[float], budget: tuple[float, float]) -> list[float]:
    rows = np.array([weights])
    bounds = np.zeros_like(rows), np.ones_like(rows)
    return list(whole_lots(rows, bounds, np.array(lots), budget)[0])


def test_each_weight_goes_to_the_nearest_lot() -> None:
    assert _rounded([0.42, 0.27, 0.31], [0.1, 0.1, 0.1], (0.9, 1.0)) == pytest.approx(
        [0.4, 0.3, 0.3]
    )


def test_too_much_gives_back_the_largest_rounding_up() -> None:
    rounded = _rounded([0.36, 0.35, 0.29], [0.1, 0.1, 0.1], (0.9, 1.0))
    assert sum(rounded) == pytest.approx(1.0)
    assert rounded == pytest.approx([0.4, 0.3, 0.3])


def test_too_little_takes_up_the_largest_rounding_down() -> None:
    rounded = _rounded([0.34, 0.33, 0.33], [0.2, 0.2, 0.2], (0.8, 1.0))
    assert sum(rounded) >= 0.8 - 1e-12


def test_what_lots_forbid_is_never_held() -> None:
    rows = np.array([[0.5, 0.5]])
    bounds = np.zeros((1, 2)), np.array([[0.0, 1.0]])
    assert whole_lots(rows * [0, 1], bounds, np.array([2.0, 0.25]), (0.5, 1.0))[0, 0] == 0

"""What the tests of the numerics share."""

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def returns() -> Any:
    """300 days of 12 assets of different volatility, shape (300, 12)."""
    rng = np.random.default_rng(7)
    return rng.normal(0.001, 0.01, (300, 12)) * np.linspace(0.5, 3, 12)

"""What holds an optimum back, in words: the sentence says the price in the metric's own unit."""

import re

import numpy as np
import pytest

from optimization.engine import Objective, solve
from optimization.engine.problem import Constraints, Problem

RETURNS = np.random.default_rng(3).normal((0.0008, 0.0004, 0.0006), (0.02, 0.01, 0.015), (500, 3))


@pytest.mark.parametrize(
    ("objective", "unit", "scale"),
    [
        (Objective.MINIMIZE_VARIANCE, "percentage points off the expected volatility", 100),
        (Objective.MAXIMIZE_RETURN, "percentage points to the expected return", 100),
        (Objective.MINIMIZE_CVAR, "percentage points off the one-day CVaR", 100),
        (Objective.MAXIMIZE_SHARPE, "to the Sharpe ratio", 1),
        (Objective.MAXIMIZE_SORTINO, "to the Sortino ratio", 1),
    ],
)
def test_a_price_is_told_in_the_unit_of_its_metric(
    objective: Objective, unit: str, scale: float
) -> None:
    problem = Problem(
        returns=RETURNS,
        symbols=("A", "B", "C"),
        objective=objective,
        constraints=Constraints(max_weight=0.4),
    )
    found = [b for b in solve(problem).binding if b.name == "constraints.max_weight"]
    assert found
    for binding in found:
        match = re.fullmatch(rf".* by 1 % (?:takes|adds) (\S+) {unit}", binding.sentence)
        assert match, binding.sentence
        # Two digits of what one hundredth more of the bound is worth.
        worth = scale * 0.01 * binding.shadow_price
        assert float(match[1]) == pytest.approx(worth, rel=0.05)

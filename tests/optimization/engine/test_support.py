"""What the exact method refuses, and what it points to."""

import numpy as np
import pytest

from optimization.engine.errors import UnsupportedProblemError
from optimization.engine.objectives import SEARCHED
from optimization.engine.problem import Constraints, Method, Objective, Problem
from optimization.engine.registry import solve
from optimization.engine.support import SEARCH_METHODS

_RETURNS = np.random.default_rng(0).normal(0.001, 0.01, (50, 3))


@pytest.mark.parametrize("objective", sorted(SEARCHED))
def test_the_exact_method_names_the_methods_that_can(objective: Objective) -> None:
    problem = Problem(returns=_RETURNS, symbols=("A", "B", "C"), objective=objective)
    with pytest.raises(UnsupportedProblemError) as caught:
        solve(problem, method=Method.MEAN_VARIANCE)
    assert caught.value.fields == ("objective", "method")
    assert all(method in caught.value.message for method in SEARCH_METHODS)


def test_the_exact_method_refuses_whole_shares_and_fees() -> None:
    constraints = Constraints(capital=1000, lot_size=1, fixed_fee=5)
    problem = Problem(
        returns=_RETURNS, symbols=("A", "B", "C"), constraints=constraints, prices=np.ones(3)
    )
    with pytest.raises(UnsupportedProblemError) as caught:
        solve(problem, method=Method.MEAN_VARIANCE)
    assert caught.value.fields == ("constraints.lot_size", "constraints.fixed_fee", "method")

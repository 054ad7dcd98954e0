"""The precomputed costs against the definitions in ``measures``."""

import numpy as np
import pytest

from optimization.engine.heuristics.costs import fast_cost_function
from optimization.engine.measures import cost_function
from optimization.engine.moments import sample_covariance
from optimization.engine.problem import Constraints, Objective
from tests.optimization.engine.heuristics.conftest import ProblemOf

PRECISION = 1e-10


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("days", [15, 252, 1260])
@pytest.mark.parametrize("risk_free_rate", [0.0, 0.03])
def test_the_fast_cost_equals_the_measure(
    problem_of: ProblemOf, objective: Objective, days: int, risk_free_rate: float
) -> None:
    constraints = Constraints(sum_to_one=False)
    problem = problem_of(20, days, objective, constraints, risk_free_rate=risk_free_rate)
    fast = fast_cost_function(problem, sample_covariance(problem.returns))
    portfolios = np.random.default_rng(5).dirichlet(np.ones(21), 40)[:, :20]
    expected = cost_function(problem)(portfolios)
    assert fast(portfolios) == pytest.approx(expected, rel=PRECISION)
    assert fast(portfolios[0]) == pytest.approx(expected[0], rel=PRECISION)

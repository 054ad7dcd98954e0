"""The precomputed costs against the definitions in ``measures``."""

import numpy as np
import pytest

from optimization.engine.heuristics.costs import fast_cost_function
from optimization.engine.measures import cost_function
from optimization.engine.moments import sample_covariance
from optimization.engine.problem import Constraints, Objective
from tests.optimization.engine.heuristics.conftest import ProblemOf

PRECISION = 1e-10

OBJECTIVES = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
    Objective.MINIMIZE_VALUE_AT_RISK,
    Objective.MAXIMIZE_OMEGA,
    Objective.MAXIMIZE_CALMAR,
)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("days", [15, 252, 1260])
@pytest.mark.parametrize("costs", [{}, {"capital": 1e4, "fixed_fee": 9.0}])
def test_the_fast_cost_equals_the_measure(
    problem_of: ProblemOf, objective: Objective, days: int, costs: dict[str, float]
) -> None:
    risk_free_rate = 0.03 if costs else 0.0
    constraints = Constraints(sum_to_one=False, **costs)  # type: ignore[arg-type]
    problem = problem_of(20, days, objective, constraints, risk_free_rate=risk_free_rate)
    fast = fast_cost_function(problem, sample_covariance(problem.returns))
    portfolios = np.random.default_rng(5).dirichlet(np.ones(21), 40)[:, :20]
    expected = cost_function(problem)(portfolios)
    assert fast(portfolios) == pytest.approx(expected, rel=PRECISION)
    assert fast(portfolios[0]) == pytest.approx(expected[0], rel=PRECISION)

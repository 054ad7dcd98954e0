"""Random problems: every answer is feasible, certified, and what the general path finds too."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimization.engine import Constraints, Group, Objective, Problem, measures, solve
from optimization.engine.convex.answer import settle
from optimization.engine.convex.fast import is_fast
from optimization.engine.convex.general import solve_general
from optimization.engine.convex.instance import instance_of
from optimization.engine.errors import EngineError, SolverFailureError

OBJECTIVES = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
    Objective.MAXIMIZE_UTILITY,
    Objective.MAXIMIZE_DIVERSIFICATION,
)


@st.composite
def problems(draw: Any, objective: Objective) -> Problem:
    """Problems of every size and shape, degenerate ones among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, periods = draw(st.integers(1, 70)), draw(st.integers(2, 150))
    returns = rng.normal(rng.normal(5e-4, 2e-3), 0.01, (periods, n)) * rng.uniform(0.3, 3, n)
    shape = draw(st.sampled_from(["plain", "scaled", "flat", "twins", "rounded"]))
    if shape == "scaled":
        returns = returns * 10.0 ** draw(st.integers(-6, 4))
    elif shape == "flat":
        returns[:, 0] = 0.0
    elif shape == "twins":
        returns[:, 0] = returns[:, -1]
    elif shape == "rounded":
        returns = np.round(returns, 3)
    symbols = tuple(f"S{asset}" for asset in range(n))
    upper = draw(st.one_of(st.none(), st.floats(min(1.0, 1.01 / n), 1.0)))
    groups: tuple[Group, ...] = ()
    if draw(st.booleans()):
        cap = draw(st.floats(0.3, 1.0))
        groups = (Group(name="half", symbols=symbols[: n // 2 + 1], max_weight=cap),)
    return Problem(
        returns=returns,
        symbols=symbols,
        objective=objective,
        constraints=Constraints(
            long_only=draw(st.booleans()),
            sum_to_one=draw(st.booleans()),
            max_weight=upper,
            cvar_confidence=draw(st.floats(0.01, 0.1)),
            groups=groups,
        ),
        risk_free_rate=draw(st.sampled_from([0.0, 0.02])),
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_answers_are_feasible_and_certified(objective: Any, data: Any) -> None:
    problem = data.draw(problems(objective))
    try:
        solution: Any = solve(problem)
    except SolverFailureError:
        raise
    except EngineError:
        return  # a named reason; test_conflict and test_solver check which
    assert solution.max_violation <= 1e-9
    gap = solution.optimality_gap
    assert gap is None or gap >= 0
    assert (gap is not None and gap <= 1e-8) or "cvxpy" in solution.solver


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_general_path_finds_nothing_better(objective: Any, data: Any) -> None:
    problem = data.draw(problems(objective))
    instance = instance_of(problem)
    try:
        solution: Any = solve(problem)
    except SolverFailureError:
        raise
    except EngineError:
        return
    assert is_fast(instance)
    cost = measures.cost_function(problem)
    if instance.uses_covariance and solution.covariance != "sample":
        return  # the cost function has the sample's covariance
    general = settle(next(solve_general(instance)).weights, instance.region)
    ours, theirs = float(cost(solution.weights)), float(cost(general))
    assert ours <= theirs + 1e-7 * abs(theirs) + 1e-9 * instance.return_scale

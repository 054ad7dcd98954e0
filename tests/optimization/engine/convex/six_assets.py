"""Problems of six assets that differ in their constraints, and how the solver refuses them."""

import pytest

from optimization.engine import Constraints, Objective, Problem, solve
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import FloatArray

SYMBOLS = tuple("ABCDEF")


def problem_of(returns: FloatArray, constraints: Constraints) -> Problem:
    return Problem(
        returns=returns,
        symbols=SYMBOLS,
        objective=Objective.MINIMIZE_VARIANCE,
        constraints=constraints,
    )


def refusal_of(returns: FloatArray, constraints: Constraints) -> InfeasibleProblemError:
    """What the solver says of constraints that conflict."""
    with pytest.raises(InfeasibleProblemError) as caught:
        solve(problem_of(returns, constraints))
    return caught.value

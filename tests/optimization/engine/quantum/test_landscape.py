"""What bitstrings are worth, and the quadratic form that stands for it."""

import numpy as np
import pytest

from optimization.engine.measures import cost_function
from optimization.engine.moments import sample_covariance
from optimization.engine.problem import Objective
from optimization.engine.quantum.encoding import LotEncoding
from optimization.engine.quantum.landscape import Landscape, Valuation
from tests.optimization.engine.quantum.conftest import ProblemOf

SEARCHED = list(Objective)[:8]
"""Five convex objectives, value at risk, Omega and Calmar."""


def _landscape(problem_of: ProblemOf, objective: Objective, **constraints: object) -> Landscape:
    problem = problem_of(5, 252, objective, **constraints)
    valuation = Valuation(problem, sample_covariance(problem.returns))
    encoding = LotEncoding.lattice(valuation.space, 20, 10_000)
    assert encoding is not None
    return Landscape(encoding, valuation)


@pytest.mark.parametrize("objective", SEARCHED)
def test_costs_are_those_of_the_measures(problem_of: ProblemOf, objective: Objective) -> None:
    landscape = _landscape(problem_of, objective)
    weights = landscape.encoding.decode(landscape.subspace.bits)
    np.testing.assert_allclose(
        landscape.costs[landscape.level],
        cost_function(problem_of(5, 252, objective))(weights),
        rtol=1e-9,
        atol=1e-15,
    )


@pytest.mark.parametrize("objective", SEARCHED)
@pytest.mark.parametrize("constraints", [{}, {"sum_to_one": False}], ids=["invested", "cash"])
def test_the_form_in_the_bits_equals_the_phase(
    problem_of: ProblemOf, objective: Objective, constraints: dict[str, object]
) -> None:
    landscape = _landscape(problem_of, objective, **constraints)
    values = landscape.form.values(landscape.subspace.bits)
    np.testing.assert_allclose(values, landscape.phase, atol=1e-9)
    assert landscape.phase.mean() == pytest.approx(0, abs=1e-9)
    assert landscape.phase.std() == pytest.approx(1)


def test_variance_is_its_own_quadratic_phase(problem_of: ProblemOf) -> None:
    landscape = _landscape(problem_of, Objective.MINIMIZE_VARIANCE)
    assert landscape.r_squared == pytest.approx(1)
    np.testing.assert_allclose(landscape.phase, landscape.cost_of_state, atol=1e-9)


def test_the_quadratic_phase_explains_most_of_every_convex_objective(
    problem_of: ProblemOf,
) -> None:
    for objective in list(Objective)[:5]:
        assert _landscape(problem_of, objective).r_squared > 0.8


def test_no_bitstring_is_better_than_the_optimal_ones(problem_of: ProblemOf) -> None:
    landscape = _landscape(problem_of, Objective.MINIMIZE_CVAR)
    best = landscape.costs[landscape.level[landscape.optimal]]
    np.testing.assert_allclose(best, landscape.costs.min(), rtol=1e-9)

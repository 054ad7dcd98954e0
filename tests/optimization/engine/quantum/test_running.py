"""The search of a circuit's angles: from all samples to the best of them."""

import numpy as np
import pytest

from optimization.engine.moments import sample_covariance
from optimization.engine.objectives import CORE
from optimization.engine.problem import Objective
from optimization.engine.quantum import qaoa
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.landscape import ConditionalValue, Landscape, Valuation
from optimization.engine.quantum.parameters import QuantumParameters
from optimization.engine.quantum.running import Descent, ExactRunner, Tick, TimeUpError
from optimization.engine.quantum.schedule import Schedule
from tests.optimization.engine.quantum.conftest import ProblemOf


def _go_on() -> None:
    """A tick that never stops."""


def _stop() -> None:
    raise TimeUpError


def _landscape(problem_of: ProblemOf, objective: Objective) -> Landscape:
    """The first circuit of eight assets, of which it moves six: twelve qubits."""
    problem = problem_of(8, 504, objective)
    valuation = Valuation(problem, sample_covariance(problem.returns))
    schedule = Schedule(valuation, 12, np.random.default_rng(0))
    encoding = schedule.following(schedule.start)
    assert encoding is not None
    return Landscape(encoding, valuation)


def _ansatz(landscape: Landscape) -> Ansatz:
    return qaoa.RECIPE.build(landscape, 3)


def _descent(ansatz: Ansatz, iterations: int, tick: Tick) -> Descent:
    return Descent(ansatz, ansatz.initial(np.random.default_rng(0)), iterations, tick)


def _lift(landscape: Landscape, **parameters: float) -> float:
    settings = QuantumParameters.of(parameters, qaoa.RECIPE.defaults)
    ansatz = qaoa.RECIPE.build(landscape, settings.layers)
    start = ansatz.initial(np.random.default_rng(0))
    runner = ExactRunner(settings, np.random.default_rng(0))
    frequencies = runner.run(ansatz, landscape, start, _go_on).draw.frequencies
    return float(frequencies[landscape.optimal].sum() / landscape.optimal.mean())


def test_a_narrowing_share_finds_the_optimum_far_more_often_than_the_mean(
    problem_of: ProblemOf,
) -> None:
    landscapes = [_landscape(problem_of, objective) for objective in CORE]
    narrowed = [_lift(landscape) for landscape in landscapes]
    plain = [_lift(landscape, alpha=1.0) for landscape in landscapes]
    assert min(narrowed) >= 5
    assert np.log(narrowed).mean() >= np.log(plain).mean() + np.log(3)


def test_each_share_goes_on_from_the_angles_of_the_one_before(problem_of: ProblemOf) -> None:
    landscape = _landscape(problem_of, Objective.MINIMIZE_CVAR)
    ansatz = _ansatz(landscape)
    descent = _descent(ansatz, 60, _go_on)
    for share in (1.0, 0.2):
        aggregate = ConditionalValue(landscape.cost_of_state, share)
        before = ansatz.value_and_gradient(descent.angles, aggregate)[0]
        descent.minimise(aggregate)
        assert ansatz.value_and_gradient(descent.angles, aggregate)[0] < before


def test_the_iterations_of_all_shares_together_are_limited(problem_of: ProblemOf) -> None:
    landscape = _landscape(problem_of, Objective.MAXIMIZE_SHARPE)
    descent = _descent(_ansatz(landscape), 4, _go_on)
    for share in (1.0, 0.2, 0.05):
        descent.minimise(ConditionalValue(landscape.cost_of_state, share))
    assert descent.iterations == 4


def test_a_search_out_of_time_keeps_the_angles_it_has(problem_of: ProblemOf) -> None:
    landscape = _landscape(problem_of, Objective.MAXIMIZE_SHARPE)
    descent = _descent(_ansatz(landscape), 60, _stop)
    start = descent.angles.copy()
    with pytest.raises(TimeUpError):
        descent.minimise(ConditionalValue(landscape.cost_of_state, 1.0))
    np.testing.assert_array_equal(descent.angles, start)


@pytest.mark.parametrize(
    ("parameters", "shares"),
    [
        ({}, (1.0, 0.22, 0.05)),
        ({"alpha": 0.1}, (1.0, 0.22, 0.1)),
        ({"alpha": 1.0}, (1.0,)),
        ({"shots": 100}, (0.2,)),
        ({"shots": 100, "alpha": 0.5}, (0.5,)),
    ],
)
def test_alpha_is_the_last_and_smallest_share(
    parameters: dict[str, float], shares: tuple[float, ...]
) -> None:
    assert QuantumParameters.of(parameters, qaoa.RECIPE.defaults).shares == shares

"""Circuits on other PennyLane devices: the same distribution, shots, noise, refusals."""

from typing import Any

import numpy as np
import pytest

from optimization.engine.errors import InvalidProblemError, UnsupportedProblemError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.moments import sample_covariance
from optimization.engine.problem import Objective
from optimization.engine.quantum import qaoa, vqe
from optimization.engine.quantum.ansatz import Ansatz
from optimization.engine.quantum.encoding import LotEncoding
from optimization.engine.quantum.landscape import Landscape, Valuation
from optimization.engine.quantum.parameters import QuantumParameters
from optimization.engine.quantum.running import Draw
from optimization.engine.quantum.sampling import DeviceSampler, post_select
from optimization.engine.quantum.solver import Recipe
from optimization.engine.quantum.subspace import subspace
from optimization.engine.registry import SolveContext
from tests.optimization.engine.quantum.conftest import ProblemOf

RECIPES = [qaoa.RECIPE, vqe.RECIPE]


@pytest.fixture
def landscape(problem_of: ProblemOf) -> Landscape:
    """Three assets in lots of half the capital: six qubits."""
    problem = problem_of(3, 60, Objective.MAXIMIZE_SHARPE, max_weight=1.0)
    valuation = Valuation(problem, sample_covariance(problem.returns))
    encoding = LotEncoding.lattice(valuation.space, 6, 100)
    assert encoding is not None
    return Landscape(encoding, valuation)


def _draw(landscape: Landscape, recipe: Recipe, **parameters: Any) -> tuple[Ansatz, Draw]:
    settings = QuantumParameters.of(parameters, recipe.defaults)
    ansatz = recipe.build(landscape, 2)
    angles = np.linspace(0.2, 0.9, ansatz.n_parameters)
    sampler = DeviceSampler(settings, recipe.gates, np.random.default_rng(5))
    return ansatz, sampler(ansatz, landscape, angles)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("device", ["lightning.qubit", "default.qubit"])
def test_gates_on_another_device_give_the_kernels_probabilities(
    landscape: Landscape, recipe: Recipe, device: str
) -> None:
    ansatz, draw = _draw(landscape, recipe, device=device)
    angles = np.linspace(0.2, 0.9, ansatz.n_parameters)
    np.testing.assert_allclose(draw.frequencies, ansatz.probabilities(angles), atol=1e-12)
    assert draw.p_feasible == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("recipe", RECIPES)
def test_shots_of_a_simulator_are_feasible_and_repeat(landscape: Landscape, recipe: Recipe) -> None:
    first, second = (
        _draw(landscape, recipe, device="lightning.qubit", shots=300)[1] for _ in range(2)
    )
    assert first.counts.sum() == 300
    assert first.p_feasible == 1.0
    np.testing.assert_array_equal(first.counts, second.counts)


def test_noise_leaves_the_subspace_and_is_post_selected(landscape: Landscape) -> None:
    parameters = {"noise": 0.02, "shots": 400, "trajectories": 20}
    _, draw = _draw(landscape, qaoa.RECIPE, **parameters)
    assert 0.1 < draw.p_feasible < 0.9
    assert draw.counts.sum() == round(400 * draw.p_feasible)
    assert draw.frequencies.sum() == pytest.approx(1.0)


def test_more_noise_is_less_feasible(landscape: Landscape) -> None:
    shares = [
        _draw(landscape, qaoa.RECIPE, noise=noise, trajectories=20)[1].p_feasible
        for noise in (0.001, 0.01, 0.1)
    ]
    assert shares == sorted(shares, reverse=True)


def test_bitstrings_of_another_weight_are_dropped() -> None:
    draw = post_select([{"0011": 6, "0111": 3, "0000": 2}, {"1100": 4}], subspace(4, 2))
    assert draw.p_feasible == pytest.approx(10 / 15)
    assert draw.counts.tolist() == [6, 0, 0, 0, 0, 4]


def test_an_unknown_device_is_named(problem_of: ProblemOf) -> None:
    context = SolveContext(parameters={"device": "no.such.device"})
    with pytest.raises(InvalidProblemError) as refusal:
        qaoa.solve_qaoa(problem_of(), context)
    assert refusal.value.fields == ("parameters.device",)


def test_noise_on_the_subspace_is_refused(problem_of: ProblemOf) -> None:
    context = SolveContext(parameters={"device": "subspace", "noise": 0.1})
    with pytest.raises(InvalidProblemError) as refusal:
        qaoa.solve_qaoa(problem_of(), context)
    assert set(refusal.value.fields) == {"parameters.noise", "parameters.device"}


@pytest.mark.filterwarnings("ignore:Operator .* does not define a decomposition")
def test_a_device_that_cannot_run_the_circuit_is_named(problem_of: ProblemOf) -> None:
    context = SolveContext(parameters={"device": "default.qutrit", "rounds": 1})
    with pytest.raises(UnsupportedProblemError) as refusal:
        qaoa.solve_qaoa(problem_of(), context)
    assert refusal.value.fields == ("parameters.device",)


@pytest.mark.parametrize(
    "parameters",
    [
        {"device": "lightning.qubit", "shots": 200, "layers": 2, "rounds": 2, "iterations": 8},
        {"noise": 0.01, "shots": 200, "trajectories": 5, "rounds": 2},
    ],
    ids=["shots", "noise"],
)
def test_a_whole_solve_on_another_device_is_feasible_and_repeats(
    problem_of: ProblemOf, parameters: dict[str, Any]
) -> None:
    problem = problem_of(4, 60, Objective.MINIMIZE_VARIANCE, max_weight=0.5)
    first, second = (
        qaoa.solve_qaoa(problem, SolveContext(rng=np.random.default_rng(3), parameters=parameters))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.weights, second.weights)
    assert FeasibleSet.of(problem).violation(first.weights) <= 1e-12
    assert first.diagnostics["device"] == "lightning.qubit"
    assert first.diagnostics["p_feasible"] <= 1.0

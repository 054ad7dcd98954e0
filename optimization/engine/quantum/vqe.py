"""The variational quantum eigensolver on lots, with Givens rotations."""

from collections.abc import Sequence

from optimization.engine.problem import FloatArray, Method, Problem, Solution
from optimization.engine.quantum.ansatz import Ansatz, GivensAnsatz
from optimization.engine.quantum.gates import Gate, givens_circuit
from optimization.engine.quantum.landscape import Landscape
from optimization.engine.quantum.parameters import Defaults
from optimization.engine.quantum.solver import Recipe, solve_variational
from optimization.engine.registry import SolveContext


def _build(landscape: Landscape, layers: int) -> Ansatz:
    return GivensAnsatz(landscape.subspace, layers)


def _gates(landscape: Landscape, ansatz: Ansatz, angles: FloatArray) -> Sequence[Gate]:
    del ansatz
    return givens_circuit(landscape.subspace, angles)


RECIPE = Recipe(
    method=Method.VQE,
    defaults=Defaults(layers=8, sampled_layers=2, shares=(0.2,), iterations=30),
    build=_build,
    gates=_gates,
)


def solve_vqe(problem: Problem, context: SolveContext) -> Solution:
    """Dicke state and a brickwork of single excitations; the best sample by the true objective.

    Raises:
        EngineError: See :func:`~optimization.engine.quantum.solver.solve_variational`.
    """
    return solve_variational(problem, context, RECIPE)

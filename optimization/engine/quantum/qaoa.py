"""The quantum approximate optimisation algorithm on lots, with an XY mixer."""

from collections.abc import Sequence

from optimization.engine.problem import FloatArray, Method, Problem, Solution
from optimization.engine.quantum.ansatz import Ansatz, RingAnsatz
from optimization.engine.quantum.gates import Gate, ring_circuit
from optimization.engine.quantum.landscape import Landscape
from optimization.engine.quantum.mixer import ring_bricks
from optimization.engine.quantum.parameters import Defaults
from optimization.engine.quantum.solver import Recipe, solve_variational
from optimization.engine.registry import SolveContext


def _build(landscape: Landscape, layers: int) -> Ansatz:
    return RingAnsatz(landscape.subspace, landscape.phase, layers)


def _gates(landscape: Landscape, ansatz: Ansatz, angles: FloatArray) -> Sequence[Gate]:
    del ansatz
    bricks = len(ring_bricks(landscape.subspace.qubits))
    return ring_circuit(landscape.subspace, landscape.form, angles.reshape(1 + bricks, -1))


RECIPE = Recipe(
    method=Method.QAOA,
    defaults=Defaults(layers=3, sampled_layers=3, shares=(1.0, 0.22, 0.05), iterations=60),
    build=_build,
    gates=_gates,
)


def solve_qaoa(problem: Problem, context: SolveContext) -> Solution:
    """Dicke state, quadratic phases and XY rings; the best sample by the true objective.

    After arXiv 1911.05296 (mixers that keep the constraint) and 2305.03857 (the initial state is
    the mixer's own).

    Raises:
        EngineError: See :func:`~optimization.engine.quantum.solver.solve_variational`.
    """
    return solve_variational(problem, context, RECIPE)

"""The general path: every constraint in CVXPY, solved by Clarabel."""

import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np

from optimization.engine.convex.builders import BUILDERS, make_form
from optimization.engine.convex.certificate import RATIOS, Evidence
from optimization.engine.convex.instance import Instance
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight

NAME = "cvxpy/clarabel"
LINEAR_NAME = "cvxpy/highs"
VERTEX_SECONDS = 10.0
ATTEMPTS = ((1e-12, True), (1e-12, False), (1e-10, True), (1e-10, False), (1e-8, True))
"""Tolerance, and whether to equilibrate, tried in turn: a problem that cannot reach the first is
still solved, and certified for less."""

USABLE = frozenset({cp.OPTIMAL, cp.OPTIMAL_INACCURATE})


@dataclass(frozen=True)
class GeneralOutcome:
    """Weights from the general path, what certifies them, and what solved it."""

    weights: FloatArray
    evidence: Evidence
    solver: str


def solve_general(instance: Instance) -> GeneralOutcome:
    """Solve any of the convex objectives under any of the convex constraints.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        SolverFailureError: Clarabel stopped without an answer.
    """
    form = make_form(instance, homogeneous=instance.objective in RATIOS)
    objective, extra, read = BUILDERS[instance.objective](instance, form)
    solver = _solve(cp.Problem(cp.Minimize(objective), form.constraints + extra))
    scale = form.scale if isinstance(form.scale, float) else float(form.scale.value)
    weights = np.asarray(form.weights.value, dtype=np.float64) / scale
    return GeneralOutcome(weights, Evidence(read() if read else None), solver)


def least_deviation(instance: Instance, origin: FloatArray) -> float:
    """The smallest standard deviation of w − origin that the polyhedral constraints allow.

    Raises:
        SolverFailureError: Clarabel stopped without an answer.
    """
    form = make_form(instance, homogeneous=False, with_cones=False)
    root = instance.covariance.root() / np.sqrt(instance.variance_scale)
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(root @ (form.weights - origin))), form.constraints
    )
    _solve(problem)
    return float(np.sqrt(max(problem.value, 0.0) * instance.variance_scale))


def _solve_linear(problem: Any) -> bool:
    """Solve a linear programme to a vertex by HiGHS; False if that takes too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the status says the same
        try:
            problem.solve(solver=cp.HIGHS, time_limit=VERTEX_SECONDS, threads=1)
        except cp.SolverError:
            return False
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    return bool(problem.status == cp.OPTIMAL)


def _solve(problem: Any) -> str:
    """Solve at the tightest tolerance that Clarabel reaches; the name of what did it."""
    if problem.is_lp() and _solve_linear(problem):
        return LINEAR_NAME
    for tolerance, equilibrate in ATTEMPTS:
        options = {f"tol_{name}": tolerance for name in ("gap_abs", "gap_rel", "feas")}
        options["equilibrate_enable"] = equilibrate
        with warnings.catch_warnings():
            # An inaccurate solution is judged by its certificate, not by a warning.
            warnings.simplefilter("ignore")
            try:
                problem.solve(solver=cp.CLARABEL, max_threads=1, **options)
            except cp.SolverError:
                continue
        if problem.status in USABLE:
            return NAME
        if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
            raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    raise SolverFailureError(f"the general solver stopped with status {problem.status}")

"""The general path: every constraint in CVXPY, solved by Clarabel and polished."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np

from optimization.engine.convex.builders import BUILDERS, denominator, make_form
from optimization.engine.convex.certificate import RATIOS, Evidence
from optimization.engine.convex.conic import (
    ConicPoint,
    ConicProgramme,
    interior_point,
    polish,
    read_data,
)
from optimization.engine.convex.instance import Instance
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight

NAME = "cvxpy/clarabel"
LINEAR_NAME = "cvxpy/highs"
VERTEX_SECONDS = 10.0
ATTEMPTS = ((1e-9, True), (1e-12, True), (1e-12, False), (1e-9, False), (1e-6, True))
"""Tolerance, and whether to equilibrate, tried in turn until an answer is certified."""


@dataclass(frozen=True)
class GeneralOutcome:
    """Weights from the general path, what certifies them, and what solved it."""

    weights: FloatArray
    evidence: Evidence
    solver: str


def solve_general(instance: Instance) -> Iterator[GeneralOutcome]:
    """Answers to any of the convex objectives under any of the convex constraints.

    Each comes from another attempt; the caller takes the first whose certificate it accepts.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        SolverFailureError: No attempt came near an optimum.
    """
    form = make_form(instance, homogeneous=instance.objective in RATIOS)
    objective, extra, read = BUILDERS[instance.objective](instance, form)
    problem = cp.Problem(cp.Minimize(objective), form.constraints + extra)
    for solver in _solve(problem):
        scale = form.scale if isinstance(form.scale, float) else float(form.scale.value)
        if scale <= 0:
            continue
        weights = np.asarray(form.weights.value, dtype=np.float64) / scale
        yield GeneralOutcome(weights, Evidence(read() if read else None), solver)


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
    next(_solve(problem))
    return float(np.sqrt(max(problem.value, 0.0) * instance.variance_scale))


def least_risk(instance: Instance) -> FloatArray:
    """The portfolio with the least denominator of a ratio that is feasible, shape (n,).

    Raises:
        SolverFailureError: Clarabel stopped without an answer.
    """
    form = make_form(instance, homogeneous=False)
    risk, extra = denominator(instance, form)
    next(_solve(cp.Problem(cp.Minimize(risk), form.constraints + extra)))
    return np.asarray(form.weights.value, dtype=np.float64)


def _solve_linear(problem: Any) -> bool:
    """Solve a linear programme to a vertex by HiGHS; False if that takes too long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the status says the same
        try:
            problem.solve(solver=cp.HIGHS, time_limit=VERTEX_SECONDS, threads=1)
        except (cp.SolverError, ValueError):  # the latter where HiGHS has no status to give
            return False
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    return bool(problem.status == cp.OPTIMAL)


def _solve(problem: Any) -> Iterator[str]:
    """Solve again and again, each time leaving the values in the problem; the solver's name."""
    if problem.is_lp() and _solve_linear(problem):
        yield LINEAR_NAME
    data, chain, inverse = problem.get_problem_data(cp.CLARABEL, solver_opts={})
    programme = read_data(data)
    failure: Exception = SolverFailureError("the conic solver came nowhere near an optimum")
    solved = False
    for tolerance, equilibrate in ATTEMPTS:
        try:
            point = polish(programme, interior_point(programme, tolerance, equilibrate))
        except InfeasibleProblemError as error:
            failure = error
            continue
        except SolverFailureError:
            continue
        problem.unpack_results(_Result.of(programme, point), chain, inverse)
        solved = True
        yield NAME
    if not solved:
        raise failure


@dataclass(frozen=True)
class _Result:
    """A point in the shape in which CVXPY reads Clarabel's own."""

    x: FloatArray
    z: FloatArray
    obj_val: float
    status: str = "Solved"
    solve_time: float = 0.0
    iterations: int = 0

    @classmethod
    def of(cls, programme: ConicProgramme, point: ConicPoint) -> "_Result":
        x = point.x
        return cls(x, point.z, float(0.5 * x @ (programme.quadratic @ x) + programme.linear @ x))

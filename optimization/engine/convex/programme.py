"""A CVXPY problem solved: a linear one to a vertex by HiGHS, any by Clarabel and polished."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cvxpy

from optimization.engine.convex.conic import (
    ConicPoint,
    ConicProgramme,
    interior_point,
    polish,
    read_data,
)
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight

NAME = "cvxpy/clarabel"
LINEAR_NAME = "cvxpy/highs"
VERTEX_SECONDS = 10.0
ATTEMPTS = ((1e-9, True), (1e-12, True), (1e-12, False), (1e-9, False), (1e-6, True))
"""Tolerance, and whether to equilibrate, tried in turn until an answer is certified."""


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


def solve_programme(problem: Any) -> Iterator[str]:
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

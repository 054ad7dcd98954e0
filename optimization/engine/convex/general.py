"""The general path: every constraint in CVXPY, solved by Clarabel and polished."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np

from optimization.engine.convex.builders import BUILDERS, make_form
from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.programme import solve_programme
from optimization.engine.objectives import RATIOS
from optimization.engine.problem import FloatArray

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight


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
    for solver in solve_programme(problem):
        scale = form.scale if isinstance(form.scale, float) else float(form.scale.value)
        if scale <= 0:
            continue
        weights = np.asarray(form.weights.value, dtype=np.float64) / scale
        yield GeneralOutcome(weights, Evidence(read() if read else None), solver)

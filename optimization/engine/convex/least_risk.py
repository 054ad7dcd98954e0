"""The least denominator that a ratio can have."""

from typing import Any

import cvxpy
import numpy as np

from optimization.engine.convex.builders import denominator, make_form
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.programme import solve_programme
from optimization.engine.problem import FloatArray

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight


def least_risk(instance: Instance) -> FloatArray:
    """The portfolio with the least denominator of a ratio that is feasible, shape (n,).

    Raises:
        SolverFailureError: Clarabel stopped without an answer.
    """
    form = make_form(instance, homogeneous=False)
    risk, extra = denominator(instance, form)
    next(solve_programme(cp.Problem(cp.Minimize(risk), form.constraints + extra)))
    return np.asarray(form.weights.value, dtype=np.float64)

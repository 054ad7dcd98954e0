"""What is reported about an answer."""

import time
from dataclasses import replace
from functools import partial

import numpy as np

from optimization.engine.convex.answer import FEASIBLE, Answer
from optimization.engine.convex.explain import binding_constraints
from optimization.engine.convex.instance import Instance
from optimization.engine.covariance import SAMPLE
from optimization.engine.description import describe_portfolio
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import Description, FloatArray, Solution

FAILURE = (
    "no solver found a portfolio that it could prove to be feasible and near the optimum; loosen"
    " the tightest constraint, leave out assets that hardly move, or choose another objective"
)


def solution_of(instance: Instance, answer: Answer, started: float) -> Solution:
    """What is reported about an answer, its description left to whoever asks.

    Raises:
        SolverFailureError: It breaks a constraint.
    """
    gap = answer.certificate.gap
    violation = max(answer.violation, instance.violation_of_holdings(answer.weights))
    if violation > FEASIBLE:
        raise SolverFailureError(FAILURE, ["constraints", "objective"])
    return Solution(
        weights=answer.weights,
        solver=answer.solver,
        solve_time=time.perf_counter() - started,
        optimality_gap=gap if np.isfinite(gap) else None,
        max_violation=violation,
        covariance=instance.covariance.kind if instance.uses_covariance else SAMPLE,
        describe=partial(_describe, instance, answer),
    )


def describe_plainly(instance: Instance, weights: FloatArray) -> Description:
    """A portfolio's figures, without what binds it."""
    return describe_portfolio(weights, instance.problem, instance.covariance)


def _describe(instance: Instance, answer: Answer) -> Description:
    binding = binding_constraints(instance, answer.weights, answer.certificate, answer.evidence)
    described = describe_plainly(instance, answer.weights)
    return replace(described, binding=binding)

"""The largest return within one limit on a deviation: a point of the efficient frontier.

Where the limit binds, the optimum minimises ½(w − b)'Σ(w − b) − t·m'w for the one t at which the
deviation of w − b equals the limit, and on a face of the feasible set that t has a closed form.
"""

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray, Objective

ROUNDS = 60
SETTLED = 1e-11

EFFICIENT = frozenset({Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_UTILITY})
"""Objectives whose optimum at a given volatility is the largest return."""


def lies_on_frontier(instance: Instance) -> bool:
    """Whether a binding limit leaves nothing to do but to earn as much as it allows."""
    if len(instance.cones) != 1 or not instance.region.is_linear:
        return False
    name, _, _ = instance.cones[0]
    if instance.objective == Objective.MAXIMIZE_RETURN:
        return True
    return name == "constraints.target_volatility" and instance.objective in EFFICIENT


def maximise_within(instance: Instance) -> FloatArray:
    """The portfolio of the largest mean whose deviation equals the one limit, shape (n,).

    Raises:
        InfeasibleProblemError: Every portfolio deviates more than the limit allows.
        SolverFailureError: The tilt did not settle.
    """
    covariance, mean = instance.covariance, instance.mean
    _, limit, origin = instance.cones[0]
    pull = covariance.times(origin)
    programme = QuadraticProgramme(covariance, instance.region)
    calmest = programme.solve(-pull).weights
    least = covariance.variance(calmest - origin)
    if least > limit**2 * (1 + SETTLED):
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    richest = minimise_linear(-mean, instance.region).weights
    gain = float(mean @ (richest - calmest))
    tilt = covariance.variance(richest - calmest) / gain if gain > 0 else 0.0
    for _ in range(ROUNDS):
        face = programme.solve(-pull - tilt * mean)
        base, slope = programme.along(face, mean, pull)
        start, target = base - origin, limit**2
        curve, fixed = covariance.variance(slope), covariance.variance(start)
        cross = float(start @ covariance.times(slope))
        if curve <= 0:
            # The face is a point: step towards the side of it on which the limit lies.
            tilt *= 2.0 if fixed < target else 0.5
            continue
        room = cross**2 - curve * (fixed - target)
        if room < 0:
            tilt *= 0.5
            continue
        found = (np.sqrt(room) - cross) / curve
        weights = base + found * slope
        if abs(found - tilt) <= SETTLED * abs(found):
            return np.asarray(weights)
        tilt = max(float(found), 0.0)
    raise SolverFailureError("the tilt at the limit did not settle")

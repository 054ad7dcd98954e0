"""Optima on the one limit on a deviation that binds: points of an efficient frontier.

They minimise ½w'Σw − (p + t·d)'w for the one t at which the deviation of w − b equals the limit.
The deviation is monotone in t, and on a face of the feasible set that t has a closed form.

The largest return at a deviation has p = Σb and d the mean; the least variance at a deviation has
p = 0 and d = Σb, as the sum of a share of each squared deviation measures from a share of b.
"""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.instance import TRACKING_ERROR, VOLATILITY, Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import Face, QuadraticProgramme
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray, Objective

ROUNDS = 60
SETTLED = 1e-11
PAST = 1e-6
"""How far past a known bound, relative to it, a face's own t may still be right."""

EFFICIENT = frozenset({Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_UTILITY})
"""Objectives whose optimum at a given volatility is the largest return."""


def lies_on_frontier(instance: Instance) -> bool:
    """Whether a binding limit leaves nothing to do but to find the point of a frontier."""
    if len(instance.cones) != 1 or not instance.region.is_linear:
        return False
    if instance.objective == Objective.MAXIMIZE_RETURN:
        return True
    name = instance.cones[0].field
    if instance.objective == Objective.MINIMIZE_VARIANCE:
        return name == TRACKING_ERROR
    return name == VOLATILITY and instance.objective in EFFICIENT


def optimum_on_limit(instance: Instance) -> FloatArray:
    """The optimum where the one limit on a deviation binds, shape (n,).

    Raises:
        InfeasibleProblemError: Every portfolio deviates more than the limit allows.
        SolverFailureError: The tilt did not settle.
    """
    covariance, mean = instance.covariance, instance.mean
    _, limit, origin = instance.cones[0]
    to_origin = covariance.times(origin)
    programme = QuadraticProgramme(covariance, instance.region)
    calmest = programme.solve(-to_origin).weights
    least = covariance.variance(calmest - origin)
    if least > limit**2 * (1 + SETTLED):
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    if instance.objective == Objective.MINIMIZE_VARIANCE:
        nothing = np.zeros(len(mean))
        return _Frontier(programme, (nothing, to_origin), origin, limit, -1.0).meet(0.5)
    richest = minimise_linear(-mean, instance.region).weights
    gain = float(mean @ (richest - calmest))
    tilt = covariance.variance(richest - calmest) / gain if gain > 0 else 0.0
    return _Frontier(programme, (to_origin, mean), origin, limit, 1.0).meet(tilt)


@dataclass(frozen=True)
class _Frontier:
    """The portfolios that minimise ½w'Σw − (p + t·d)'w, by t.

    Attributes:
        programme: Over the region.
        pulls: The vectors p and d, shape (n,) each.
        origin: What a deviation is measured from, shape (n,).
        limit: The deviation to meet.
        sense: 1 where the deviation rises with t, −1 where it falls.
    """

    programme: QuadraticProgramme
    pulls: tuple[FloatArray, FloatArray]
    origin: FloatArray
    limit: float
    sense: float

    def meet(self, tilt: float) -> FloatArray:
        """The portfolio whose deviation is the limit, searched from a first t.

        Raises:
            SolverFailureError: t did not settle.
        """
        low, high, (pull, direction) = 0.0, np.inf, self.pulls
        variance = self.programme.quadratic.variance
        for _ in range(ROUNDS):
            face = self.programme.solve(-pull - tilt * direction)
            found, weights = self._on_face(face)
            if abs(found - tilt) <= SETTLED * abs(found):
                return weights
            if self.sense * (self.limit**2 - variance(face.weights - self.origin)) > 0:
                low = tilt
            else:
                high = tilt
            # A point has no t of its own, and a face may end before its own is reached.
            inside = low * (1.0 - PAST) < found < high * (1.0 + PAST)
            tilt = found if inside else min(2.0 * tilt, 0.5 * (low + high))
        raise SolverFailureError("the tilt at the limit did not settle")

    def _on_face(self, face: Face) -> tuple[float, FloatArray]:
        """The t at which the limit is met on a face, or NaN, and the weights there."""
        covariance = self.programme.quadratic
        pull, direction = self.pulls
        base, slope = self.programme.along(face, direction, pull)
        start = base - self.origin
        curve, cross = covariance.variance(slope), float(start @ covariance.times(slope))
        room = cross**2 - curve * (covariance.variance(start) - self.limit**2)
        if curve <= 0 or room < 0:
            return np.nan, base
        found = (self.sense * np.sqrt(room) - cross) / curve
        return float(found), np.asarray(base + found * slope)

"""Optima on the one limit on a deviation that binds: points of an efficient frontier.

They minimise ½w'Σw − (p + t·d)'w for the one t at which the deviation of w − b equals the limit.
The deviation is monotone in t, and on a face of the feasible set that t has a closed form.

The largest return at a deviation has p = Σb and d the mean. The least ½w'Σw − q'w at a deviation
has p = q and d = Σb − q, as the two squares, weighed by 1 − t and t, are one square from t·b; q is
the mean over the risk aversion, or nothing for the least variance. So t tells the limit's price.
"""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.instance import TRACKING_ERROR, VOLATILITY, Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import Face, QuadraticProgramme
from optimization.engine.convex.tilt import next_tilt
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.objectives import RATIOS
from optimization.engine.problem import FloatArray, Objective

ROUNDS = 60
SETTLED = 1e-11
EFFICIENT = frozenset({Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_UTILITY})
"""Objectives whose optimum at a given volatility is the largest return."""

QUADRATIC = frozenset({Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_UTILITY})
"""Objectives that are ½w'Σw − q'w."""


def lies_on_frontier(instance: Instance) -> bool:
    """Whether a binding limit leaves nothing to do but to find the point of a frontier."""
    if len(instance.cones) != 1 or not instance.region.is_linear:
        return False
    if instance.objective == Objective.MAXIMIZE_RETURN:
        return True
    known = {VOLATILITY: EFFICIENT, TRACKING_ERROR: QUADRATIC}
    return instance.objective in known[instance.cones[0].field]


def optimum_on_limit(instance: Instance) -> tuple[FloatArray, Evidence]:
    """The optimum where the one limit on a deviation binds, shape (n,), and what proves it.

    Raises:
        InfeasibleProblemError: Every portfolio deviates more than the limit allows.
        SolverFailureError: The tilt did not settle.
    """
    covariance, mean = instance.covariance, instance.mean
    field, limit, origin = instance.cones[0]
    to_origin = covariance.times(origin)
    programme = QuadraticProgramme(covariance, instance.region)
    calmest = programme.solve(-to_origin).weights
    least = covariance.variance(calmest - origin)
    if least > limit**2 * (1 + SETTLED):
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    objective, aversion = instance.objective, instance.problem.risk_aversion
    if objective in QUADRATIC and field == TRACKING_ERROR:
        own, unit = np.zeros(len(mean)), 2.0
        if objective == Objective.MAXIMIZE_UTILITY:
            own, unit = mean / aversion, aversion
        frontier = _Frontier(programme, (own, to_origin - own), origin, limit, -1.0)
        tilt, weights = frontier.meet(0.5)
        return weights, _priced(field, unit * limit * tilt / (1.0 - tilt) if tilt < 1 else 0.0)
    richest = minimise_linear(-mean, instance.region).weights
    gain = float(mean @ (richest - calmest))
    first = covariance.variance(richest - calmest) / gain if gain > 0 else 0.0
    tilt, weights = _Frontier(programme, (to_origin, mean), origin, limit, 1.0).meet(first)
    if objective in RATIOS or tilt <= 0:
        return weights, Evidence()
    price = 1.0 / tilt - (aversion if objective == Objective.MAXIMIZE_UTILITY else 0.0)
    return weights, _priced(field, limit * price)


def _priced(field: str, multiplier: float) -> Evidence:
    return Evidence(cone_multipliers={field: multiplier} if multiplier > 0 else {})


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

    def meet(self, tilt: float) -> tuple[float, FloatArray]:
        """The t and the portfolio whose deviation is the limit, searched from a first t.

        Raises:
            SolverFailureError: t did not settle.
        """
        low, high, (pull, direction) = 0.0, np.inf, self.pulls
        variance = self.programme.quadratic.variance
        for _ in range(ROUNDS):
            face = self.programme.solve(-pull - tilt * direction)
            found, weights = self._on_face(face)
            if abs(found - tilt) <= SETTLED * abs(found):
                return found, weights
            if self.sense * (self.limit**2 - variance(face.weights - self.origin)) > 0:
                low = tilt
            else:
                high = tilt
            # A point has no t of its own, and a face may end before its own is reached.
            tilt = next_tilt(found, low, high, 2.0 * tilt)
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

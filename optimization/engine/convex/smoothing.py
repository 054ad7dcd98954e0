"""A portfolio near the least loss over scenarios, from the loss with its kinks rounded off."""

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.convex.least_variance import least_variance
from optimization.engine.convex.loss import Loss
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.covariance import Covariance
from optimization.engine.problem import FloatArray

DAMPING = 1e-3
"""Ridge of a step, in mean squares: a narrow width leaves fewer periods than assets."""

SHORT = 400
"""Up to so many periods the steps take longer than they save."""


def smoothed(instance: Instance, loss: Loss) -> FloatArray:
    """Newton steps on the loss from the least variance on, with narrower and narrower widths, (n,).

    Within the width the share of a period goes from the largest to the smallest in a straight line,
    which makes the loss a square there: Madsen and Nielsen, *A finite smoothing algorithm for
    linear l1 estimation* (1993). Where the shares have a total, the turn moves to keep it.
    """
    weights = least_variance(instance)
    rows, ridge = loss.outcomes, DAMPING * instance.return_scale**2
    outcomes = rows @ weights
    size = float(np.sqrt(outcomes @ outcomes / len(outcomes)))
    for width in loss.widths if len(rows) > SHORT else ():
        distance = outcomes - loss.turn(outcomes)
        inside = np.abs(distance) < width * size
        count = int(np.count_nonzero(inside))
        if not count:
            break
        share = np.where(distance < 0, loss.most, loss.least)
        share[inside] = 0.0
        middle = 0.5 * (loss.most + loss.least)
        if loss.total is not None:
            middle = (loss.total - float(share.sum())) / count
        share[inside] = middle
        slope = (loss.most - loss.least) / (2.0 * width * size)
        near = rows[inside]
        mean = None if loss.total is None else near.mean(axis=0)
        curved = Covariance(near, mean, scale=1.0 / count, ridge=ridge)
        linear = -(rows.T @ share) / (slope * count)
        weights = QuadraticProgramme(curved, instance.region).solve(linear).weights
        outcomes = rows @ weights
    return weights

"""Maximum Sortino ratio: Newton on the set of periods that fall short, each step a tangency."""

import numpy as np

from optimization.engine.convex.ratio import Tangency, maximise_ratio
from optimization.engine.convex.region import Region
from optimization.engine.covariance import Covariance
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

ROUNDS = 60
SLOPE_STEPS = 60
ROUNDING = 1e-13
"""An outcome this small, relative to the largest return, falls short or not as it pleases."""


def maximise_sortino(
    excess: FloatArray, mean: FloatArray, region: Region, start: Tangency | None = None
) -> Tangency:
    """Maximise mean'w / √mean(min(excess·w, 0)²), shape (T, n) and (n,).

    With the periods of shortfall held fixed the problem is a tangency portfolio for their second
    moments; between two such portfolios the ratio is searched exactly. The same periods twice is
    the optimum.

    Raises:
        SolverFailureError: The iteration did not settle, e.g. because nothing ever falls short.
    """
    rounding = ROUNDING * max(float(excess.max()), -float(excess.min()))
    short = np.ones(len(excess), dtype=np.bool_)
    if start is not None:
        short = excess @ start.weights < 0
    tangency, portfolio = start, None
    for _ in range(ROUNDS):
        if not short.any():
            raise SolverFailureError("no period falls short")
        quadratic = Covariance(excess[short], scale=1.0 / len(excess), kind="shortfall")
        tangency = maximise_ratio(quadratic, mean, region, tangency)
        outcomes = excess @ tangency.weights
        if bool(((outcomes < 0) == short)[np.abs(outcomes) > rounding].all()):
            break
        aim = tangency.weights / float(mean @ tangency.weights)
        if portfolio is not None:
            now = excess @ portfolio
            step = _best_step(now, excess @ aim - now)
            aim = portfolio + step * (aim - portfolio)
        portfolio, short = aim, excess @ aim < 0
    if tangency is None:
        raise SolverFailureError("the periods of shortfall did not settle")
    return tangency


def _best_step(start: FloatArray, direction: FloatArray) -> float:
    """The s in [0, 1] with the least Σ min(start + s·direction, 0)², by Newton on its slope."""
    low, high, step = 0.0, 1.0, 1.0
    for _ in range(SLOPE_STEPS):
        outcomes = start + step * direction
        short = np.minimum(outcomes, 0.0)
        slope = float(short @ direction)
        low, high = (low, step) if slope > 0 else (step, high)
        if high - low <= 1e-15 or (step == 1.0 and slope <= 0):
            break
        moving = direction[outcomes < 0]
        curvature = float(moving @ moving)
        proposal = step - slope / curvature if curvature > 0 else low
        step, before = proposal if low < proposal < high else 0.5 * (low + high), step
        if step == before:
            break
    return step

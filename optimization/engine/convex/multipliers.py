"""Multipliers of the limits on a deviation that make the linear lower model tightest.

For any multipliers the model's minimum is a bound; as a function of them it is concave and
piecewise linear, so cutting planes find its maximum: every minimiser of the model is a cut.
"""

import numpy as np

from optimization.engine.convex.certificate import Evidence, lower_gradient
from optimization.engine.convex.highs import Rows, solve_rows
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.problem import FloatArray

ROUNDS = 200
SETTLED = 1e-13
LARGEST = 1e6
"""Largest multiplier, in units of the gradient over the limit."""


def cone_multipliers(
    instance: Instance, weights: FloatArray, evidence: Evidence
) -> dict[str, float]:
    """The best multiplier of each limit on a deviation at a portfolio, by request field."""
    gradient, cost_weight = lower_gradient(instance, weights, evidence)
    unit = float(np.abs(gradient).max()) or 1.0
    slopes, floors = [], []
    for _, limit, origin in instance.cones:
        direction = instance.covariance.times(weights - origin)
        deviation = float(np.sqrt(instance.covariance.variance(weights - origin)))
        # A cone without slope here cannot be binding here; its cut is flat.
        slope = direction / deviation if deviation > 0 else np.zeros(len(weights))
        slopes.append(slope / limit)
        floors.append(float(slope @ origin) / limit + 1.0)
    count = len(slopes)
    matrix, floor = np.array(slopes), np.array(floors)
    master = Rows(count + 1)
    columns, multipliers = np.arange(count + 1), np.zeros(count)
    best, found = -np.inf, multipliers
    for _ in range(ROUNDS):
        tilted = gradient / unit + multipliers @ matrix
        linear = minimise_linear(tilted, instance.region, cost_weight / unit)
        value = linear.value - float(multipliers @ floor)
        if value > best:
            best, found = value, multipliers
        slack = matrix @ linear.weights - floor
        at_zero = linear.value - float(multipliers @ (matrix @ linear.weights))
        master.add(columns, np.append(-slack, 1.0), -np.inf, at_zero)
        bounds = np.append(np.full(count, LARGEST), np.inf)
        lower = np.append(np.zeros(count), -np.inf)
        outcome = solve_rows(np.append(np.zeros(count), -1.0), lower, bounds, master)
        multipliers = outcome.x[:count]
        if -outcome.bound - best <= SETTLED * max(abs(best), 1.0):
            break
    return {
        name: float(value) * unit / limit
        for (name, limit, _), value in zip(instance.cones, found, strict=True)
    }

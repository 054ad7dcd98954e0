"""Particle swarm optimisation."""

import numpy as np

from optimization.engine.heuristics.search import Run, Stall
from optimization.engine.problem import FloatArray

_INERTIA, _PULL = 0.7298, 1.49618
"""Clerc and Kennedy, *The particle swarm* (2002): the constriction that makes swarms converge."""

_SCATTER = 0.2
"""Share of the particles that leave the swarm for one exchange between two assets; without any, a
swarm that has lost an asset never finds it again."""

_INFORMANTS = 2
"""Others whose best places a particle knows where there are many valleys."""


def swarm(run: Run) -> None:
    """Fly until the budget is spent.

    A particle is drawn to the best place it has seen and to the best that its informants have:
    all of the swarm on a convex problem, where that is fastest; else a few, drawn anew each time,
    so that the swarm does not follow one particle into one valley (Clerc, *Standard particle swarm
    optimisation*, 2012). Where the feasible set stops it, it loses the velocity that pointed
    outwards.
    """
    rng, start = run.rng, run.start()
    weights, own, own_costs = start.weights, start.weights.copy(), start.costs
    velocity, stall = np.zeros_like(weights), Stall()
    while run.proceed():
        to_own, to_leader = _PULL * rng.random((2, *weights.shape))
        velocity = (
            _INERTIA * velocity
            + to_own * (own - weights)
            + to_leader * (own[_leaders(run, own_costs)] - weights)
        )
        points = weights + velocity
        scattered = rng.random(len(points)) < _SCATTER
        points[scattered] = run.landscape.exchanges(rng, own[scattered])
        moved = run.evaluate(points)
        velocity, weights = moved.weights - weights, moved.weights
        better = moved.costs < own_costs
        own[better], own_costs[better] = weights[better], moved.costs[better]
        if not run.reference.exact and stall.is_over(float(own_costs.min())):
            start = run.restart()
            weights, own, own_costs = start.weights, start.weights.copy(), start.costs
            velocity = np.zeros_like(weights)


def _leaders(run: Run, costs: FloatArray) -> FloatArray:
    """For every particle the index of the best of its informants, itself included."""
    count = len(costs)
    if run.reference.exact:
        return np.full(count, costs.argmin())
    others = run.rng.integers(0, count, (count, _INFORMANTS))
    informants = np.column_stack([np.arange(count), others])
    best = costs[informants].argmin(axis=1)
    return np.asarray(informants[np.arange(count), best])

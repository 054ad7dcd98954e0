"""Simulated annealing by chains that learn their steps from each other."""

import numpy as np

from optimization.engine.heuristics.search import Run

_EXCHANGES = 0.5
"""Share of the steps that exchange weight between two assets."""

_HOTTEST, _COLDEST = 1e-2, 1e-10
"""First and last temperature, relative to the spread of the first population's costs."""


def anneal(run: Run) -> None:
    """Cool until the budget is spent.

    Each row is a chain. Half its steps are exchanges between two assets, half the difference of
    two other chains, which have the scale and the shape of where the chains are now: ter Braak,
    *A Markov chain Monte Carlo version of the genetic algorithm differential evolution* (2006).
    Worse portfolios are accepted after Metropolis, at a temperature that falls geometrically with
    the share of the budget spent.
    """
    rng, start = run.rng, run.start()
    weights, costs = start.weights, start.costs
    count = len(weights)
    finite = costs[np.isfinite(costs)]
    spread = float(np.std(finite)) if finite.size else 0.0
    while run.proceed():
        temperature = spread * _HOTTEST * (_COLDEST / _HOTTEST) ** run.share
        first, second = rng.integers(0, count, (2, count))
        steps = (weights[first] - weights[second]) * rng.uniform(0.2, 1.2, (count, 1))
        exchanged = rng.random(count) < _EXCHANGES
        points = weights + steps
        points[exchanged] = run.landscape.exchanges(rng, weights[exchanged])
        moved = run.evaluate(points)
        # Metropolis: accepted with probability exp(−rise / temperature).
        allowance = temperature * rng.standard_exponential(count)
        accepted = moved.costs <= costs + allowance
        weights[accepted], costs[accepted] = moved.weights[accepted], moved.costs[accepted]

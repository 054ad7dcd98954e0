"""Which queue a method waits in, so that a slow method never delays a fast one."""

from collections.abc import Mapping
from enum import StrEnum

from optimization.engine.problem import Method


class Lane(StrEnum):
    """A first-in-first-out queue with workers of its own."""

    CONVEX = "convex"
    HEURISTIC = "heuristic"
    QUANTUM = "quantum"


LANES: Mapping[Method, Lane] = {
    Method.MEAN_VARIANCE: Lane.CONVEX,
    Method.GENETIC_ALGORITHM: Lane.HEURISTIC,
    Method.SIMULATED_ANNEALING: Lane.HEURISTIC,
    Method.PARTICLE_SWARM: Lane.HEURISTIC,
    Method.VQE: Lane.QUANTUM,
    Method.QAOA: Lane.QUANTUM,
}

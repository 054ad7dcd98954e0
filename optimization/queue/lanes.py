"""Which queue a method waits in, so that a slow method never delays a fast one."""

from collections.abc import Container, Mapping, Sequence
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


def served_lanes(queue_names: Container[str]) -> list[Lane]:
    """The lanes among a worker's queues."""
    return [lane for lane in Lane if lane.value in queue_names]


def may_stand_by(lanes: Sequence[Lane]) -> bool:
    """Whether a worker of these lanes may have a process wait in one: not if another needs it."""
    return len(lanes) == 1

"""Figures about requests, true over all processes because they come from the rows and Redis."""

from dataclasses import dataclass

from optimization.engine.problem import Method
from optimization.engine.registry import available_methods
from optimization.models import Status
from optimization.queue import admission
from optimization.queue.lanes import LANES, Lane
from optimization.solving import result_cache
from optimization.solving.result_cache import CacheStatistics
from optimization.totals import request_totals


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    """What the status endpoint reports of the optimisation service.

    Attributes:
        total_requests: Recorded requests.
        successful_optimizations: Those that ended with a result.
        failed_optimizations: Those that ended with an error.
        cache_hits: Those answered from the cache.
        average_optimization_time: Mean seconds of the solved ones.
        queue_size: Requests that wait.
        active_optimizations: Requests that run.
        queues: Waiting per lane.
        cache: The result cache's own figures.
    """

    total_requests: int
    successful_optimizations: int
    failed_optimizations: int
    cache_hits: int
    average_optimization_time: float
    queue_size: int
    active_optimizations: int
    queues: dict[str, int]
    cache: CacheStatistics


def service_statistics() -> ServiceStatistics:
    """Gather the figures: the totals of the rows and a few counts in Redis."""
    totals = request_totals()
    ended = totals.counts
    solved = [g for g in ended if g.status == Status.SUCCEEDED and not g.cached]
    count = sum(ended[group] for group in solved)
    mean = sum(totals.seconds[group] for group in solved) / count if count else 0.0
    loads = {lane: admission.lane_load(lane) for lane in Lane}
    return ServiceStatistics(
        total_requests=ended.total(),
        successful_optimizations=sum(ended[g] for g in ended if g.status == Status.SUCCEEDED),
        failed_optimizations=sum(ended[g] for g in ended if g.status == Status.FAILED),
        cache_hits=sum(ended[g] for g in ended if g.cached),
        average_optimization_time=round(mean, 6),
        queue_size=sum(load.waiting for load in loads.values()),
        active_optimizations=sum(load.held + load.lost for load in loads.values()),
        queues={lane.value: load.waiting for lane, load in loads.items()},
        cache=result_cache.statistics(),
    )


def methods_by_kind() -> dict[str, list[str]]:
    """The available methods, as the status endpoint groups them."""
    quantum = [m.value for m in available_methods() if LANES[Method(m)] is Lane.QUANTUM]
    return {
        "classical": [m.value for m in available_methods() if m.value not in quantum],
        "quantum": quantum,
    }

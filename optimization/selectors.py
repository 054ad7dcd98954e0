"""Figures about requests, true over all processes because they come from the rows and Redis."""

from dataclasses import dataclass

from django.db.models import Avg, Count, Q

from optimization.engine.problem import Method
from optimization.engine.registry import available_methods
from optimization.models import OptimizationRequest, Status
from optimization.queue import admission
from optimization.queue.lanes import LANES, Lane
from optimization.solving import result_cache
from optimization.solving.result_cache import CacheStatistics


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
    """Gather the figures; one aggregate over the rows and a few counts in Redis."""
    solved = Q(status=Status.SUCCEEDED, cached=False)
    figures = OptimizationRequest.objects.aggregate(
        total=Count("pk"),
        succeeded=Count("pk", filter=Q(status=Status.SUCCEEDED)),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
        hits=Count("pk", filter=Q(cached=True)),
        mean=Avg("optimization_time", filter=solved),
    )
    loads = {lane: admission.lane_load(lane) for lane in Lane}
    return ServiceStatistics(
        total_requests=figures["total"],
        successful_optimizations=figures["succeeded"],
        failed_optimizations=figures["failed"],
        cache_hits=figures["hits"],
        average_optimization_time=round(figures["mean"] or 0.0, 6),
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

"""The newest progress of each running request, for those who poll instead of listening."""

from typing import Any

from pydantic import ValidationError
from redis.exceptions import RedisError

from marketdata.redis_client import redis_client, redis_key
from optimization.engine.problem import Progress
from optimization.models import OptimizationRequest
from streaming.frames import progress_frame
from streaming.protocol import OptimizationProgressData

KEEP_SECONDS = 600
"""How long after its last report a request's progress is kept."""


def remember(request: OptimizationRequest, progress: Progress, **_kwargs: Any) -> None:
    """Keep a report; what Redis cannot take now the next report brings again."""
    data = OptimizationProgressData(**progress_frame(request, progress)["data"])
    try:
        redis_client().set(_key(request.request_id), data.model_dump_json(), ex=KEEP_SECONDS)
    except RedisError:
        return


def recall(request_id: str) -> OptimizationProgressData | None:
    """The newest report of a request, or None."""
    kept = redis_client().get(_key(request_id))
    if kept is None:
        return None
    try:
        return OptimizationProgressData.model_validate_json(kept)
    except ValidationError:  # written by another release
        return None


def _key(request_id: str) -> str:
    return redis_key("progress", request_id)

"""Whether this server lives, is ready, and how it does, for load balancers and Prometheus."""

from collections.abc import Callable
from typing import Literal

from django.db import DatabaseError
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.redis_client import redis_client
from optimization.models import OptimizationRequest
from optimization.queue import workers
from optimization.queue.lanes import Lane
from streaming.monitoring.metrics import exposition
from streaming.rest.base import RestView, document_response
from streaming.rest.optimizations import errors


class LiveDocument(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Check(BaseModel):
    """One thing that the server needs."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: Literal["database", "redis", "workers"]
    ok: bool
    detail: str
    """What was found, and the mend."""


class ReadyDocument(BaseModel):
    """Whether requests can be served."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    status: Literal["ready", "not_ready"]
    checks: list[Check]


class OpenView(APIView):
    """A view for programs that cannot sign in; it tells nothing of anybody."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class LiveView(OpenView):
    """Whether the process lives."""

    @extend_schema(operation_id="health_live", responses=LiveDocument)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Answer."""
        return document_response(LiveDocument())


class ReadyView(OpenView):
    """Whether requests can be served."""

    @extend_schema(
        operation_id="health_ready",
        responses={
            200: ReadyDocument,
            503: OpenApiResponse(ReadyDocument, description="Something that is needed is away."),
        },
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Check the database, Redis and that at least one worker lives."""
        checks = readiness()
        ready = all(check.ok for check in checks)
        document = ReadyDocument(status="ready" if ready else "not_ready", checks=checks)
        return document_response(document, status=200 if ready else 503)


class MetricsView(RestView):
    """Figures for Prometheus."""

    @extend_schema(
        operation_id="metrics",
        responses={(200, CONTENT_TYPE_LATEST.partition(";")[0]): OpenApiTypes.STR, **errors()},
    )
    def get(self, request: Request) -> HttpResponse:  # noqa: ARG002
        """Figures over all processes, from the rows and Redis."""
        return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def readiness() -> list[Check]:
    """What the server needs, each looked at now."""
    return [
        _check("database", _database),
        _check("redis", _redis),
        _check("workers", _workers),
    ]


def _check(name: Literal["database", "redis", "workers"], look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=look())
    except (_NotReadyError, DatabaseError, RedisError) as error:
        # The text of a driver's error may name hosts and users; whoever asks is not signed in.
        detail = str(error) if isinstance(error, _NotReadyError) else type(error).__name__
        return Check(name=name, ok=False, detail=detail)


class _NotReadyError(Exception):
    """Something that is needed is there but of no use."""


def _database() -> str:
    OptimizationRequest.objects.exists()
    return "the tables are there"


def _redis() -> str:
    redis_client().ping()
    return "answers"


def _workers() -> str:
    alive = {lane: workers.live_processes(lane) for lane in Lane}
    if not any(alive.values()):
        raise _NotReadyError("no worker lives; start one, or all of them by: manage.py serve")
    return ", ".join(f"{lane}: {processes}" for lane, processes in alive.items())

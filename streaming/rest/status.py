"""The REST API of the streaming layer."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.quotes import feed_status
from optimization import selectors
from optimization.submissions import Owner
from streaming.fanout.presence import Presence, present
from streaming.rest.optimizations import errors
from streaming.rest.throttling import RestThrottle
from streaming.topics import Subscription


class ConnectionsSerializer(serializers.Serializer[Any]):
    """Connections over all web processes."""

    total_connections = serializers.IntegerField()
    total_subscriptions = serializers.IntegerField()
    topics = serializers.ListField(child=serializers.CharField())
    clients = serializers.ListField(child=serializers.CharField())


class CacheStatisticsSerializer(serializers.Serializer[Any]):
    """The result cache."""

    total_entries = serializers.IntegerField()
    total_accesses = serializers.IntegerField()
    hits = serializers.IntegerField()
    ttl_seconds = serializers.IntegerField()


class OptimizersSerializer(serializers.Serializer[Any]):
    """Methods that this server can run."""

    classical = serializers.ListField(child=serializers.CharField())
    quantum = serializers.ListField(child=serializers.CharField())


class OptimizationServiceSerializer(serializers.Serializer[Any]):
    """The optimisation service over all processes."""

    total_requests = serializers.IntegerField()
    successful_optimizations = serializers.IntegerField()
    failed_optimizations = serializers.IntegerField()
    cache_hits = serializers.IntegerField()
    average_optimization_time = serializers.FloatField()
    queue_size = serializers.IntegerField()
    active_optimizations = serializers.IntegerField()
    queues = serializers.DictField(child=serializers.IntegerField())
    cache_stats = CacheStatisticsSerializer(source="cache")
    optimizers = OptimizersSerializer()


class FeedSerializer(serializers.Serializer[Any]):
    """The market feed; automatic triggers pause while it is stale."""

    name = serializers.CharField(allow_blank=True)
    last_tick = serializers.FloatField(allow_null=True)
    stale = serializers.BooleanField()


class ServiceStatusSerializer(serializers.Serializer[Any]):
    """The whole service."""

    success = serializers.BooleanField()
    timestamp = serializers.CharField()
    websocket_connections = ConnectionsSerializer()
    optimization_service = OptimizationServiceSerializer()
    feed = FeedSerializer()


class StatusView(APIView):
    """Real-time figures of the service."""

    throttle_classes = (RestThrottle,)

    @extend_schema(responses={200: ServiceStatusSerializer, **errors()})
    def get(self, request: Request) -> Response:
        """Report connections, queue, cache and totals, true over all processes."""
        statistics = selectors.service_statistics()
        service = {field: getattr(statistics, field) for field in statistics.__dataclass_fields__}
        service["optimizers"] = selectors.methods_by_kind()
        document = {
            "success": True,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "websocket_connections": _connections(present(), request),
            "optimization_service": service,
            "feed": feed_status(),
        }
        return Response(ServiceStatusSerializer(document).data)


def _connections(presence: Presence, request: Request) -> dict[str, Any]:
    """All figures; clients, and whose symbols and portfolios they hear, as far as the caller's own.

    Staff sees everybody's.
    """
    owner = Owner.of(request.user).key
    sees_all = settings.LOCAL_MODE or bool(getattr(request.user, "is_staff", False))
    seen = {c for c, o in presence.owners.items() if sees_all or o == owner}
    topics = {
        topic
        for client, heard in presence.topics.items()
        for topic in heard
        if client in seen or Subscription.parse(topic).subject is None
    }
    return {
        "total_connections": len(presence.topics),
        "total_subscriptions": sum(map(len, presence.topics.values())),
        "topics": sorted(topics),
        "clients": sorted(seen),
    }

"""Every WebSocket address of the server."""

from django.urls import path

from streaming.consumers import OptimizationConsumer

websocket_urlpatterns = [path("ws", OptimizationConsumer.as_asgi())]

"""The ASGI application: HTTP goes to Django, WebSockets to the streaming layer."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")

# Before the routes: it sets Django up, and consumers import models.
http_application = get_asgi_application()

from django.urls import get_resolver  # noqa: E402 - Django is set up by now

from streaming.routing import websocket_urlpatterns  # noqa: E402

# Django imports the views with the first request, for whose visitor half a second is long.
get_resolver().url_patterns  # noqa: B018

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
    }
)

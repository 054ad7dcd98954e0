"""The ASGI application: HTTP goes to Django, WebSockets to the streaming layer."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")

# Before the routes: it sets Django up, and consumers import models.
http_application = get_asgi_application()

from streaming.routing import websocket_urlpatterns  # noqa: E402 - Django is set up by now

application = ProtocolTypeRouter(
    {
        "http": http_application,
        "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
    }
)

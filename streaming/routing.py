"""Every WebSocket address of the server."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from django.urls import path, re_path

from streaming.consumers import OptimizationConsumer

logger = logging.getLogger(__name__)


async def refuse_unknown_path(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Close a connection to an address that is none, before it opens (HTTP 403)."""
    await receive()
    logger.info("no WebSocket at %s, only at /ws", scope["path"])
    await send({"type": "websocket.close"})


_elsewhere: Any = refuse_unknown_path  # Django types its routes for views
websocket_urlpatterns = [path("ws", OptimizationConsumer.as_asgi()), re_path("", _elsewhere)]

"""Where the server has a WebSocket, and where it has none."""

import pytest
from channels.testing import WebsocketCommunicator

from quantumedge.asgi import application


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/optimization", "/wss"])
async def test_a_path_without_a_websocket_is_refused_and_breaks_nothing(
    path: str, db: None
) -> None:
    communicator = WebsocketCommunicator(application, path)
    is_connected, _ = await communicator.connect()
    assert not is_connected

"""``manage.py stream``, against a local server that speaks the protocol."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from websockets.sync.server import ServerConnection, serve

from streaming.decoding import decode
from streaming.protocol import (
    CloseCode,
    ErrorCode,
    ServerMessage,
    SubscriptionData,
    TopicData,
    error_frame,
    server_frame,
)


@dataclass
class Peer:
    """Confirms every subscription, then tells one error and waits.

    Attributes:
        url: Its address.
        topics: What was subscribed to.
        authorizations: The header of that name of each handshake.
        refuses: Whether it closes every connection as one without valid credentials.
    """

    url: str = ""
    topics: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    refuses: bool = False

    def speak(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.authorizations.append(socket.request.headers.get("Authorization"))
        if self.refuses:
            socket.close(CloseCode.UNAUTHENTICATED, "sign in")
        for text in socket:
            assert isinstance(text, str)
            data = decode(text).data
            assert isinstance(data, TopicData)
            self.topics.append(data.topic)
            confirmed = SubscriptionData(topic=data.topic, status="subscribed")
            socket.send(json.dumps(server_frame(ServerMessage.SUBSCRIBE, confirmed)))
            socket.send(json.dumps(error_frame(ErrorCode.QUEUE_FULL, "full")))


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    with serve(peer.speak, "127.0.0.1", 0) as server:
        peer.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield peer
        server.shutdown()
        thread.join()


def _stream(peer_url: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command("stream", "--url", peer_url, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_every_topic_is_subscribed_and_every_frame_is_a_line_of_json(peer: Peer) -> None:
    lines = _stream(peer.url, "--json", "--frames", "6").splitlines()
    frames: list[Any] = [json.loads(line) for line in lines]
    assert peer.topics == ["portfolio_updates", "price_updates", "risk_alerts"]
    assert [frame["type"] for frame in frames] == ["subscribe", "error"] * 3


def test_the_screen_shows_the_news(peer: Peer) -> None:
    text = _stream(peer.url, "--topics", "price_updates:AAPL", "--frames", "2")
    assert peer.topics == ["price_updates:AAPL"]
    assert "Optimization queue full: full" in text


def test_it_ends_after_its_time(peer: Peer) -> None:
    assert _stream(peer.url, "--json", "--seconds", "0", "--topics", "price_updates") == ""


def test_a_token_signs_in_as_written_or_out_of_a_file(peer: Peer, tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("qe_kept\n")
    for arguments in ((), ("--token", "qe_abc"), ("--token", f"@{kept}")):
        _stream(peer.url, "--frames", "1", "--json", *arguments)
    assert peer.authorizations == [None, "Bearer qe_abc", "Bearer qe_kept"]


def test_a_server_that_asks_to_sign_in_is_told_with_the_mend(peer: Peer) -> None:
    peer.refuses = True
    with pytest.raises(CommandError, match=r"4401.*pass a valid --token"):
        _stream(peer.url, "--json")


def test_a_token_file_that_is_not_there_is_a_wrong_argument(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        _stream(peer.url, "--token", f"@{tmp_path / 'none'}")


def test_a_server_that_is_not_there_is_a_clear_failure(free_port: int) -> None:
    with pytest.raises(CommandError, match=r"is `manage.py serve` running"):
        _stream(f"ws://127.0.0.1:{free_port}/ws")

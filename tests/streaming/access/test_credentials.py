"""Who may open a WebSocket, by ``Origin`` and ``Host``."""

import pytest
from pytest_django.fixtures import Settings

from streaming.access.credentials import bearer_token, client_address, origin_is_allowed

HOST = "desk.example:8000"


@pytest.fixture(autouse=True)
def desk(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["desk.example", "localhost", "127.0.0.1", "[::1]"]
    settings.ALLOWED_ORIGINS = ["https://partner.example"]
    settings.LOCAL_MODE = False


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://desk.example:8000", HOST),
        ("https://desk.example:8000", HOST),
        ("http://DESK.example:8000", HOST),
        ("https://partner.example", HOST),
        ("http://localhost:9000", "localhost:9000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_servers_own_pages_and_those_allowed_may_connect(origin: str, host: str) -> None:
    assert origin_is_allowed(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://evil.example:8000",
        "http://desk.example",
        "http://desk.example:8001",
        "http://desk.example:8000.evil.example",
        "http://evil.example/desk.example:8000",
        "http://desk.example:8000@evil.example",
        "http://partner.example",
        "https://partner.example.evil.example",
        "file://desk.example:8000",
        "null",
        "",
        "desk.example:8000",
        "javascript://desk.example:8000",
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_a_strangers_page_is_always_refused(origin: str, local: bool, settings: Settings) -> None:
    settings.LOCAL_MODE = local
    assert not origin_is_allowed(origin, HOST)


@pytest.mark.parametrize("host", [None, "", "evil.example", "evil.example:8000", "desk.example@x"])
@pytest.mark.parametrize("origin", [None, "http://evil.example:8000", "https://partner.example"])
def test_a_host_name_that_was_rebound_to_this_machine_is_refused(
    host: str | None, origin: str | None, settings: Settings
) -> None:
    settings.LOCAL_MODE = True
    assert not origin_is_allowed(origin, host)


def test_a_program_sends_no_origin_and_passes_on_to_show_its_token() -> None:
    assert origin_is_allowed(None, HOST)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.0.0.2", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", "127.0.0.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", "nonsense", "nonsense"),
        (None, "203.0.113.9", ""),
    ],
)
def test_only_trusted_proxies_are_believed_about_an_address(
    settings: Settings, peer: str | None, forwarded_for: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(peer, forwarded_for) == address


@pytest.mark.parametrize(
    ("authorization", "subprotocols", "token"),
    [
        (None, [], None),
        ("Bearer abc", [], "abc"),
        ("bearer abc", ["bearer.def"], "abc"),
        ("Basic abc", ["quantumedge.v1", "bearer.def"], "def"),
        (None, ["quantumedge.v1"], None),
    ],
)
def test_a_handshake_carries_its_token_in_a_header_or_a_subprotocol(
    authorization: str | None, subprotocols: list[str], token: str | None
) -> None:
    assert bearer_token(authorization, subprotocols) == token

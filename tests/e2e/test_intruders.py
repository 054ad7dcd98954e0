"""An intruder against the running server, with sign-in required."""

import asyncio
import json
import select
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from streaming.protocol import CloseCode
from tests.e2e.client import TECH, ask, receive
from tests.e2e.harness import PATIENCE, ROOT, Server, data_folder, server_environment, serving

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that lets nobody in without a token; TLS is a proxy's business."""
    with (
        data_folder() as folder,
        serving(
            folder,
            FEED="none",
            LOCAL_MODE="false",
            SECURE="false",
            SECRET_KEY="only for this test, and long enough to be one",
            MAX_STRANGERS_PER_ADDRESS="20",
        ) as server,
    ):
        server.wait_for_line("Ready")
        yield server


def manage(server: Server, *arguments: str) -> str:
    """Run a management command beside the server."""
    environment = {**server_environment(server.data_dir), "LOCAL_MODE": "false", "SECURE": "false"}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**environment, "SECRET_KEY": "only for this test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def ann(guarded: Server) -> str:
    """A trade token of ann's."""
    make_ann = "from django.contrib.auth.models import User; User.objects.create_user('ann')"
    manage(guarded, "shell", "-c", make_ann)
    return manage(guarded, "token", "create", "ann", "robot", "--scope", "trade")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def closing(client: ClientConnection) -> int:
    """Read until the server closes; its code."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionClosed):
            async for _ in client:
                pass
    assert client.close_code is not None
    return client.close_code


async def test_each_of_the_three_ways_in_works_and_none_gives_the_token_back(
    guarded: Server, ann: str
) -> None:
    async with connect(guarded.ws_url, additional_headers=bearer(ann)) as client:
        assert (await receive(client))["data"]["user"] == "ann"
    offered = [Subprotocol("quantumedge.v1"), Subprotocol(f"bearer.{ann}")]
    async with connect(guarded.ws_url, subprotocols=offered) as client:
        assert client.subprotocol == "quantumedge.v1"
        assert (await receive(client))["data"]["user"] == "ann"
    async with connect(guarded.ws_url) as client:
        answer = await ask(client, {"type": "auth", "data": {"token": ann}})
        assert (answer["type"], answer["data"]["user"]) == ("auth", "ann")
        assert (await receive(client))["type"] == "connection_status"
        accepted = await ask(client, {"type": "subscribe", "data": {"topic": "price_updates"}})
        assert accepted["data"]["status"] == "subscribed"


async def test_a_wrong_origin_is_refused_at_the_handshake_even_with_a_token(
    guarded: Server, ann: str
) -> None:
    for origin in ("https://evil.example", "null"):
        headers = {**bearer(ann), "Origin": origin}
        with pytest.raises(InvalidStatus) as refused:
            async with connect(guarded.ws_url, additional_headers=headers):
                pass
        # Autobahn itself refuses what is no origin at all.
        assert refused.value.response.status_code == (400 if origin == "null" else 403)


async def test_who_shows_nothing_is_told_so_and_closed_after_five_seconds(guarded: Server) -> None:
    async with connect(guarded.ws_url) as client:
        request = {"type": "optimization_request", "data": {"symbols": TECH}}
        assert (await ask(client, request))["data"]["code"] == "unauthenticated"
        assert await closing(client) == CloseCode.UNAUTHENTICATED


async def test_a_token_that_is_revoked_ends_its_connection_within_seconds(guarded: Server) -> None:
    text = await asyncio.to_thread(manage, guarded, "token", "create", "ann", "short-lived")
    async with connect(guarded.ws_url, additional_headers=bearer(text)) as client:
        await receive(client)
        await asyncio.to_thread(manage, guarded, "token", "revoke", text.split("_")[1])
        assert await closing(client) == CloseCode.UNAUTHENTICATED


@asynccontextmanager
async def crowd(guarded: Server, count: int) -> AsyncIterator[list[ClientConnection]]:
    """So many connections that show no credentials, opened at once."""
    gate = asyncio.Semaphore(50)

    async def one() -> ClientConnection:
        async with gate:
            return await connect(guarded.ws_url, open_timeout=PATIENCE, compression=None)

    clients = await asyncio.gather(*(one() for _ in range(count)))
    try:
        yield clients
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def test_of_1000_connections_of_one_address_all_end_and_a_user_still_gets_in(
    guarded: Server, ann: str
) -> None:
    async with (
        crowd(guarded, 1000) as clients,
        connect(guarded.ws_url, additional_headers=bearer(ann)) as client,
    ):
        assert (await receive(client))["data"]["user"] == "ann"
        codes = await asyncio.gather(*(closing(stranger) for stranger in clients))
        assert (await ask(client, {"type": "heartbeat"}))["type"] == "heartbeat"
    assert set(codes) <= {CloseCode.TOO_MANY_CONNECTIONS, CloseCode.UNAUTHENTICATED}
    # How many of each depends on how fast the machine lets them in: a stranger's place is free
    # again after its five seconds.
    assert CloseCode.TOO_MANY_CONNECTIONS in codes


def test_slow_loris_holds_nobody_up_and_is_dropped(guarded: Server) -> None:
    host, port = guarded.address.split(":")
    openings = (
        b"",
        b"GET / HT",
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nX-Name: ",
        b"POST /api/v1/optimizations/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
    )
    held = {socket.create_connection((host, int(port)), PATIENCE): n for n in range(200)}
    for connection, number in held.items():
        connection.sendall(openings[number % len(openings)])
    assert b"alive" in guarded.get("/api/v1/health/live")
    deadline = time.monotonic() + PATIENCE
    while held:
        assert time.monotonic() < deadline, f"{len(held)} connections are still open"
        # A byte every half second keeps none of them: the whole request has its deadline.
        ended = select.select(list(held), [], [], 0.5)[0]
        for connection in [c for c in ended if has_ended(c)]:
            connection.close()
            del held[connection]
        for connection, number in held.items():
            if number % len(openings):
                with suppress(ConnectionError):
                    connection.send(b"x")


def has_ended(connection: socket.socket) -> bool:
    """Read what there is; whether the server has ended the connection."""
    try:
        return not connection.recv(4096)
    except ConnectionError:
        return True


def test_rest_is_closed_without_a_token_and_open_with_one(guarded: Server, ann: str) -> None:
    address = guarded.url + "/api/v1/optimizations/"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address, timeout=PATIENCE)
    with refused.value as answer:
        assert answer.code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    wanted = urllib.request.Request(address, headers=bearer(ann))
    with urllib.request.urlopen(wanted, timeout=PATIENCE) as page:
        assert json.load(page) == {"results": [], "next": None}

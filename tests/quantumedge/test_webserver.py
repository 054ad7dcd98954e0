"""The web server against real clients, among them some that misbehave."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Self

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streaming.protocol import CloseCode


class FlowServer:
    """A running :mod:`tests.quantumedge.flow_server`."""

    def __init__(self, *pings: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.quantumedge.flow_server", *pings],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def __call__(self, path: str) -> dict[str, int]:
        """GET a path; the answer is what the server has counted so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as response:
            return dict(json.load(response))

    def connect(self, path: str) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, max_size=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert code == 0, "it stops in order"


@pytest.fixture(scope="module")
def server() -> Iterator[FlowServer]:
    with FlowServer() as running:
        yield running


def slow_socket(server: FlowServer, path: str) -> socket.socket:
    """A WebSocket that is open and that nobody reads from."""
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return raw


def read_to_the_end(raw: socket.socket) -> None:
    while raw.recv(2**20):
        pass


async def counted(server: FlowServer, name: str) -> int:
    """Wait until the server has counted ``name``."""
    while True:
        counts = await asyncio.to_thread(server, "/")
        if name in counts:
            return counts[name]


async def test_a_client_that_does_not_read_stops_the_writer_until_it_reads(
    server: FlowServer,
) -> None:
    reader, writer = await asyncio.open_connection(sock=slow_socket(server, "/fill"), limit=2**25)
    written = await counted(server, "fill")
    # Some megabytes lie in the kernel's buffers, the client's among them; little in the server.
    assert written * 16_384 > 65_536
    assert written * 16_384 < 16 * 2**20
    received = await reader.readuntil(b"drained" + b"\x88\x02\x0f\xa1")
    _, _, messages = received.partition(b"\r\n\r\n")
    assert messages.count(b"x") == written * 16_384
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_does_not_read_can_be_dropped() -> None:
    # Without pings: nothing but the drop ends the connection.
    with FlowServer("3600", "3600") as server, slow_socket(server, "/drop") as raw:
        assert await counted(server, "dropped") == 1
        with pytest.raises(ConnectionResetError):
            read_to_the_end(raw)


async def test_a_client_that_floods_is_not_read_from_and_loses_nothing(server: FlowServer) -> None:
    count, size = 400, 100_000

    async def flood(client: ClientConnection, sent: list[int]) -> None:
        for number in range(count):
            await client.send(f"{number:08d}" + "y" * size)
            sent.append(number)

    async with server.connect("/gated") as client:
        sent: list[int] = []
        flooding = asyncio.create_task(flood(client, sent))
        before = -1
        while len(sent) != before:
            before = len(sent)
            # Several round trips to the server without one more message taken: it has stopped.
            for _ in range(20):
                await asyncio.to_thread(server, "/")
        assert len(sent) < count
        await asyncio.to_thread(server, "/open/gated")
        for number in range(count):
            assert await client.recv() == f"{number:08d}"
        await flooding


async def test_a_message_that_is_not_taken_at_once_keeps_its_place(server: FlowServer) -> None:
    async with server.connect("/direct") as client:
        assert await client.recv() == "ready"
        for message in ("one", b"two", "wait", "three", "four"):
            await client.send(message)
        assert [await client.recv() for _ in range(2)] == ["direct one", "direct None"]
        await asyncio.to_thread(server, "/open/direct")
        expected = ["inbox wait", "inbox three", "inbox four"]
        assert [await client.recv() for _ in expected] == expected
        await client.send("five")
        assert await client.recv() == "direct five"
        await client.send("wait for good")
        assert await client.recv() == "inbox wait for good"
        await client.send("six")
        assert await client.recv() == "inbox six"


def texts(stream: bytes) -> Iterator[str]:
    """The messages of a server, each of which is one unmasked frame."""
    while stream:
        begin, size = 2, stream[1]
        if size >= 126:
            begin = 4 if size == 126 else 10
            size = int.from_bytes(stream[2:begin], "big")
        yield stream[begin : begin + size].decode()
        stream = stream[begin + size :]


async def test_messages_keep_their_order_whichever_way_and_in_how_many_pieces_they_are_written(
    server: FlowServer,
) -> None:
    sizes = [262_144 if number % 35 == 3 else 0 for number in range(1000)]
    frames = sum(6 + size + (10 if size else 2) for size in sizes)
    reader, writer = await asyncio.open_connection(sock=slow_socket(server, "/mixed"), limit=2**16)
    # It has read nothing, and no kernel holds so much.
    assert await counted(server, "mixed") == len(sizes)
    await reader.readuntil(b"\r\n\r\n")
    messages = list(texts(await reader.readexactly(frames)))
    assert [int(message[:6]) for message in messages] == list(range(1000))
    assert [len(message) - 6 for message in messages] == sizes
    writer.close()
    await writer.wait_closed()


async def test_a_message_below_the_cap_arrives_and_one_above_is_closed_with_1009(
    server: FlowServer,
) -> None:
    async with server.connect("/echo") as client:
        await client.send(b"z" * 3_000_000)
        assert await client.recv() == "3000000"
        sending = asyncio.create_task(client.send("z" * 20_000_000))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        await asyncio.gather(sending, return_exceptions=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def post(server: FlowServer, headers: dict[str, str], body: Iterable[bytes]) -> bytes:
    """Send a body piece by piece for as long as the server takes it; returns the answer."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(f"POST /body HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for piece in body:
                raw.sendall(piece)
        with contextlib.suppress(ConnectionError):
            return raw.recv(65_536)
    return b""


def test_a_body_below_the_cap_arrives_whole(server: FlowServer) -> None:
    answer = post(server, {"Content-Length": "3000000"}, [b"z" * 3_000_000])
    assert b"200 OK" in answer
    assert server("/")["body"] == 3_000_000


def test_a_body_above_the_cap_is_refused_by_its_announced_length(server: FlowServer) -> None:
    assert b" 413 " in post(server, {"Content-Length": "5000000"}, [])


def test_a_body_without_a_length_is_refused_once_it_is_too_large(server: FlowServer) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"10000\r\n" + b"z" * 65_536 + b"\r\n"

    post(server, {"Transfer-Encoding": "chunked"}, endless())
    assert sent * 65_536 < 32 * 2**20
    assert server("/")


async def test_a_frame_that_breaks_the_protocol_is_closed_with_1002(server: FlowServer) -> None:
    async with server.connect("/echo") as client:
        reserved_opcode = b"\x83\x80\x00\x00\x00\x00"
        client.transport.write(reserved_opcode)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1002


async def test_messages_are_not_compressed_even_if_the_client_offers_it(server: FlowServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/echo", compression="deflate") as client:
        assert client.protocol.extensions == []


async def test_a_stopping_server_tells_its_clients_to_come_back() -> None:
    with FlowServer() as server:
        async with server.connect("/echo") as client:
            await client.send("hello")
            await client.recv()
            server.process.terminate()
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        await asyncio.to_thread(server.process.wait)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CloseCode.SERVER_RESTART


async def test_a_peer_that_answers_no_ping_is_dropped_and_one_that_does_lives() -> None:
    with FlowServer("0.5", "3") as server, slow_socket(server, "/echo"):
        async with server.connect("/echo") as client:
            assert await counted(server, "left") == 1
            await client.send("still here")
            assert await client.recv() == "10"

"""RFC 6455 against the running server, byte by byte over a raw socket."""

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import pytest

from tests.e2e.harness import PATIENCE, Server

pytestmark = pytest.mark.e2e

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
HEARTBEAT = b'{"type":"heartbeat"}'


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked frame."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    if len(payload) < 126:
        return head + bytes([0x80 | len(payload)]) + mask + masked
    return head + b"\xfe" + struct.pack(">H", len(payload)) + mask + masked


class Raw:
    """A raw connection after its handshake.

    Args:
        server: Whom to connect to.
        headers: Lines besides those of the handshake.
    """

    def __init__(self, server: Server, headers: str = "") -> None:
        host, port = server.address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.bytes = self.socket.makefile("rb")
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
        )
        self.answer = list(iter(self.bytes.readline, b"\r\n"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bytes.close()
        self.socket.close()

    def send(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def next(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; server frames are whole and never masked."""
        head, length = self.bytes.read(2)
        assert head & 0xF0 == 0x80
        assert length < 0x80
        if length == 126:
            (length,) = struct.unpack(">H", self.bytes.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.bytes.read(8))
        return head & 0x0F, self.bytes.read(length)

    def until(self, opcode: int) -> bytes:
        """The payload of the next frame with an opcode."""
        while (found := self.next())[0] != opcode:
            pass
        return found[1]

    def until_type(self, kind: str) -> None:
        while json.loads(self.until(TEXT))["type"] != kind:
            pass

    def closed(self) -> int:
        """The close code that the server gives, 1006 for none; then the connection ends."""
        try:
            payload = self.until(CLOSE)
        except ConnectionResetError:
            return 1006
        # Who broke the protocol is cut off, perhaps before it has answered.
        with suppress(ConnectionError):
            self.send(frame(CLOSE, payload[:2]))
            assert self.bytes.read() == b""
        return int.from_bytes(payload[:2], "big")


@pytest.fixture
def raw(server: Server) -> Iterator[Raw]:
    with Raw(server) as connection:
        yield connection


def test_the_handshake_answers_the_key_and_offers_no_compression(server: Server) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    with Raw(server, offer) as raw:
        assert raw.answer[0].startswith(b"HTTP/1.1 101")
        headers = {line.split(b":")[0].lower(): line for line in raw.answer[1:]}
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in headers[b"sec-websocket-accept"]
        assert b"sec-websocket-extensions" not in headers
        assert b"sec-websocket-protocol" not in headers


@pytest.mark.parametrize(
    "line",
    [
        "Sec-WebSocket-Version: 12",
        "Sec-WebSocket-Key: short",
        "Connection: close",
    ],
)
def test_a_broken_handshake_is_no_websocket(server: Server, line: str) -> None:
    host, port = server.address.split(":")
    lines = {
        "Host": server.address,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    name, _, value = line.partition(": ")
    lines[name] = value
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(f"GET /ws HTTP/1.1\r\n{text}\r\n".encode())
        status = connection.makefile("rb").readline()
    assert b" 101 " not in status
    assert status.startswith(b"HTTP/1.1 4")


def test_a_message_may_come_in_fragments_with_control_frames_between(raw: Raw) -> None:
    raw.until_type("connection_status")
    raw.send(
        frame(TEXT, HEARTBEAT[:5], fin=False),
        frame(PING, b"between"),
        frame(CONTINUATION, b"", fin=False),
        frame(CONTINUATION, HEARTBEAT[5:]),
    )
    assert raw.until(PONG) == b"between"
    raw.until_type("heartbeat")


def test_a_message_may_come_byte_by_byte(raw: Raw) -> None:
    for byte in frame(TEXT, HEARTBEAT):
        raw.send(bytes([byte]))
    raw.until_type("heartbeat")


def test_a_character_may_be_split_between_fragments(raw: Raw) -> None:
    text = '{"type":"heartbeat","request_id":"é€😀"}'.encode()
    raw.send(
        frame(TEXT, text[:34], fin=False),
        *(frame(CONTINUATION, text[i : i + 1], fin=False) for i in range(34, len(text) - 1)),
        frame(CONTINUATION, text[-1:]),
    )
    raw.until_type("heartbeat")


@pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125])
def test_a_ping_is_answered_with_its_own_payload(raw: Raw, payload: bytes) -> None:
    raw.send(frame(PING, payload))
    assert raw.until(PONG) == payload


def test_a_pong_that_nobody_asked_for_is_ignored(raw: Raw) -> None:
    raw.send(frame(PONG, b"unasked"), frame(TEXT, HEARTBEAT))
    raw.until_type("heartbeat")


def test_a_binary_message_is_answered_with_an_error_and_harms_nothing(raw: Raw) -> None:
    raw.send(frame(BINARY, b"\x00\xff"), frame(TEXT, HEARTBEAT))
    raw.until_type("error")
    raw.until_type("heartbeat")


BROKEN = {
    "a reserved bit 1": frame(TEXT, HEARTBEAT, rsv=4),
    "a reserved bit 2": frame(TEXT, HEARTBEAT, rsv=2),
    "a reserved bit 3": frame(TEXT, HEARTBEAT, rsv=1),
    "a reserved bit in a ping": frame(PING, rsv=4),
    **{f"data opcode {n}": frame(n) for n in range(3, 8)},
    **{f"control opcode {n}": frame(n) for n in range(11, 16)},
    "a ping of 126 bytes": frame(PING, b"x" * 126),
    "a fragmented ping": frame(PING, b"x", fin=False),
    "an unmasked frame": b"\x81\x02{}",
    "a continuation of nothing": frame(CONTINUATION, HEARTBEAT),
    "a text inside a text": frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
}
BROKEN_CLOSES = {
    "a close of 126 bytes": frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "a fragmented close": frame(CLOSE, b"\x03\xe8", fin=False),
    "a close of one byte": frame(CLOSE, b"\x03"),
    "a close with a reason that is no UTF-8": frame(CLOSE, b"\x03\xe8\xff"),
    **{
        f"a close with code {n}": frame(CLOSE, n.to_bytes(2, "big"))
        for n in (0, 999, 1004, 1005, 1006, 1015, 1100, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("frames", BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_protocol_is_closed_with_1002(raw: Raw, frames: bytes) -> None:
    raw.send(frames)
    assert raw.closed() == 1002


@pytest.mark.parametrize("frames", BROKEN_CLOSES.values(), ids=BROKEN_CLOSES.keys())
def test_a_broken_close_ends_the_connection_without_being_answered_in_kind(
    raw: Raw, frames: bytes
) -> None:
    # RFC 6455, 7.1.7: a server that fails a connection may leave the close frame out.
    raw.send(frames)
    assert raw.closed() in {1002, 1006, 1007}


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b'{"type":"\x80"}'],
)
def test_a_text_that_is_no_utf8_is_closed_with_1007(raw: Raw, payload: bytes) -> None:
    raw.send(frame(TEXT, payload))
    assert raw.closed() == 1007


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999])
def test_a_close_is_answered_with_its_own_code(raw: Raw, code: int) -> None:
    raw.send(frame(CLOSE, code.to_bytes(2, "big") + b"bye"))
    assert raw.closed() == code


def test_a_close_without_a_code_is_answered(raw: Raw) -> None:
    raw.send(frame(CLOSE))
    assert raw.until(CLOSE) in {b"", b"\x03\xe8"}


def test_nothing_is_served_after_a_close(raw: Raw) -> None:
    raw.until_type("connection_status")
    raw.send(frame(CLOSE, b"\x03\xe8"), frame(TEXT, HEARTBEAT))
    assert raw.next()[0] == CLOSE
    assert raw.bytes.read() == b""

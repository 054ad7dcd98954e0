"""The web server's socket."""

import argparse
import socket
import struct
from pathlib import Path

import pytest

from quantumedge.listening import listen, port_number

WAITING_AT_MOST = 28
"""Where ``struct tcp_info`` of a listening socket says how many connections may wait."""


def test_as_many_connections_may_wait_as_the_kernel_lets() -> None:
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    with listen("127.0.0.1", 0) as listener:
        report = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert struct.unpack_from("I", report, WAITING_AT_MOST) == (most,)


def test_a_port_in_use_is_an_error_and_leaves_no_socket_behind() -> None:
    with (
        listen("127.0.0.1", 0) as first,
        pytest.raises(OSError, match="in use"),
    ):
        listen("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("text", ["-1", "65536", "٣", "8000.5", ""])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no TCP port"):
        port_number(text)

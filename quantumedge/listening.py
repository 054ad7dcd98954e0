"""The web server's TCP socket, opened by whoever starts the web server's processes."""

import argparse
import socket

BACKLOG = 65_535
"""Connections that may wait to be accepted: as many as the kernel's ``net.core.somaxconn`` lets.

When more wait, the kernel drops what a client sends, and the client's tries again after 1, 3, 7,
15, 31, 63 and 127 seconds, so that a crowd that comes at once would be let in after minutes.
"""
KERNEL_BUFFER_BYTES = 262_144
"""What the kernel may hold for one client; its default grows to several megabytes."""


def port_number(text: str) -> int:
    """A TCP port of the command line: the system would take a larger number modulo 65536.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is no TCP port; take 0 to 65535")
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket, ready to be shared by several server processes.

    Raises:
        OSError: The address is not this machine's, or the port is in use.
    """
    address = host.strip("[]")
    family, kind, protocol, _, target = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        listener.bind(target)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener

"""``manage.py stream``: a terminal client of a running server."""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.live import Live
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from optimization.command_line import console
from streaming.protocol import ClientMessage, CloseCode, Topic
from streaming.terminal import StreamView

HEARTBEAT_SECONDS = 30.0


class Command(BaseCommand):
    """Follow prices, portfolios and alerts of a server, until Ctrl-C."""

    help = (
        "Follow a running server in the terminal: prices, requests, alerts."
        " Exit code 1: it cannot be reached, or it closed the connection."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what to follow, where and for how long."""
        parser.add_argument(
            "--url",
            default=f"ws://{settings.HOST}:{settings.PORT}/ws",
            help="address of the server (default: %(default)s)",
        )
        parser.add_argument(
            "--topics",
            nargs="+",
            default=[topic.value for topic in Topic],
            metavar="TOPIC",
            help="a topic, or one subject of it: price_updates:AAPL (default: all)",
        )
        parser.add_argument(
            "--token",
            type=_token,
            metavar="TOKEN|@FILE",
            help="an API token (`manage.py token create`), for a server that asks to sign in;"
            " @FILE keeps it out of the list of processes",
        )
        parser.add_argument("--frames", type=int, metavar="N", help="stop after N frames")
        parser.add_argument("--seconds", type=float, metavar="S", help="stop after S seconds")
        parser.add_argument("--json", action="store_true", help="print one frame per line")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Connect, subscribe, show."""
        token: str | None = options["token"]
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            with connect(
                options["url"], additional_headers=headers, max_size=settings.MAX_OUTBOX_BYTES
            ) as socket:
                for topic in options["topics"]:
                    _send(socket, ClientMessage.SUBSCRIBE, {"topic": topic})
                frames = _frames(socket, options["seconds"], options["frames"])
                if options["json"]:
                    for frame in frames:
                        self.stdout.write(json.dumps(frame))
                else:
                    self._show(frames)
        except KeyboardInterrupt:
            return
        except ConnectionClosed as error:
            raise CommandError(_closed(error)) from error
        except (OSError, InvalidHandshake, InvalidURI) as error:
            raise CommandError(
                f"{options['url']} cannot be reached ({error}); is `manage.py serve` running?"
            ) from error

    def _show(self, frames: Iterator[dict[str, Any]]) -> None:
        view = StreamView()
        with Live(console=console(self.stdout), get_renderable=view.render, refresh_per_second=4):
            for frame in frames:
                view.take(frame)


def _frames(
    socket: ClientConnection, limit_seconds: float | None, limit_frames: int | None
) -> Iterator[dict[str, Any]]:
    """Frames as they come, with a heartbeat in between, until a limit is met."""
    end = None if limit_seconds is None else time.monotonic() + limit_seconds
    beat, count = time.monotonic() + HEARTBEAT_SECONDS, 0
    while limit_frames is None or count < limit_frames:
        now = time.monotonic()
        if end is not None and now >= end:
            return
        if now >= beat:
            _send(socket, ClientMessage.HEARTBEAT, {"status": "alive"})
            beat = now + HEARTBEAT_SECONDS
        try:
            text = socket.recv(timeout=min(beat, end or beat) - now)
        except TimeoutError:
            continue
        count += 1
        yield json.loads(text)


def _closed(error: ConnectionClosed) -> str:
    """Why the server ended the connection, and what helps."""
    told = f"the server closed the connection: {error}"
    signs_in = error.rcvd is not None and error.rcvd.code == CloseCode.UNAUTHENTICATED
    return f"{told}; pass a valid --token" if signs_in else told


def _token(text: str) -> str:
    try:
        token = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not token.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return token.strip()


def _send(socket: ClientConnection, kind: ClientMessage, data: dict[str, Any]) -> None:
    socket.send(json.dumps({"type": kind.value, "data": data}))

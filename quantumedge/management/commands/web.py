"""``manage.py web``: one web server process, on a socket of its own or one that it is given."""

import os
import socket

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from quantumedge.lean import give_back, leave_out
from quantumedge.listening import listen, port_number
from quantumedge.readiness import activated_listener


class Command(BaseCommand):
    """Serve HTTP and WebSockets in the foreground."""

    help = "Serve HTTP and WebSockets. `manage.py serve` starts this and everything else."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default=settings.HOST, help="address (default: %(default)s)")
        parser.add_argument(
            "--port",
            type=port_number,
            default=settings.PORT,
            help="TCP port (default: %(default)s)",
        )
        parser.add_argument("--fd", type=int, help="an inherited listening socket to use instead")

    def handle(self, *, host: str, port: int, fd: int | None, **options: object) -> None:  # noqa: ARG002
        """Run until a signal ends it."""
        if connection.vendor != "postgresql":
            leave_out("psycopg")
        if not settings.TRACES_URL:
            # REST framework imports the first for a client of its own, redis-py the second; they
            # export traces.
            leave_out("requests", "opentelemetry")
        # Importing the web server replaces Twisted's reactor, so only when it is wanted.
        from quantumedge.webserver import PacedServer  # noqa: PLC0415 # isort: skip - first
        from quantumedge.asgi import application  # noqa: PLC0415

        try:
            if fd is not None:
                listener = socket.socket(fileno=fd)
            else:
                listener = activated_listener(os.environ) or listen(host, port)
        except OSError as error:
            raise CommandError(
                f"cannot listen on {host}:{port} ({error.strerror}): "
                "stop the other program or choose another port with --port"
            ) from error
        give_back()
        PacedServer(application, listener).run()

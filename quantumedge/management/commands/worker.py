"""``manage.py worker LANE``: one Celery worker, the same alone as under ``manage.py serve``."""

import os

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from quantumedge.celery import app


class Command(BaseCommand):
    """Run the requests of some lanes in the foreground."""

    help = "Run the requests of one or more lanes. `manage.py serve` starts this, among others."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Which lanes, and how many at once."""
        parser.add_argument("lanes", nargs="+", choices=sorted(settings.WORKER_CONCURRENCY))
        parser.add_argument(
            "--concurrency",
            type=int,
            help="requests at once (default: the sum of the lanes' CONCURRENCY settings)",
        )

    def handle(self, *, lanes: list[str], concurrency: int | None, **options: object) -> None:  # noqa: ARG002
        """Run until a signal ends it."""
        processes = concurrency or sum(settings.WORKER_CONCURRENCY[lane] for lane in lanes)
        app.worker_main(
            [
                "worker",
                # With the process id, because a host may run several, and a successor beside each.
                *("--queues", ",".join(lanes)),
                *("--hostname", f"{'-'.join(lanes)}-{os.getpid()}@%h"),
                *("--pool", "prefork", "--concurrency", str(processes)),
                # Chatter between workers that nobody listens to; lanes announce themselves.
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                *("--loglevel", settings.LOG_LEVEL),
            ]
        )

"""``manage.py beat``: the clock of the periodic tasks; run exactly one."""

import time
from datetime import UTC, datetime, timedelta

from celery.schedules import schedule
from django.conf import settings
from django.core.management.base import BaseCommand

from quantumedge.celery import app


class Command(BaseCommand):
    """Send the periodic tasks in the foreground."""

    help = "Send the periodic tasks; run exactly one. `manage.py serve` starts this, among others."
    requires_system_checks = ()

    def handle(self, **options: object) -> None:  # noqa: ARG002
        """Run until a signal ends it."""
        began, then = datetime.now(UTC), time.monotonic()

        def steady_now() -> datetime:
            """The time, had the clock not been set since; beat would wait until it is again."""
            return began + timedelta(seconds=time.monotonic() - then)

        for entry in app.conf.beat_schedule.values():
            entry["schedule"] = schedule(entry["schedule"], nowfun=steady_now)
            # A beat that begins anew begins with every task, so nothing need be kept in a file.
            entry["last_run_at"] = began - timedelta(days=1)
        scheduler = ("--scheduler", "celery.beat:Scheduler")
        app.start(["beat", *scheduler, "--pidfile=", "--loglevel", settings.LOG_LEVEL])

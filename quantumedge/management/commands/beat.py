"""``manage.py beat``: the clock of the periodic tasks; run exactly one."""

from django.conf import settings
from django.core.management.base import BaseCommand

from quantumedge.celery import app


class Command(BaseCommand):
    """Send the periodic tasks in the foreground."""

    help = "Send the periodic tasks; run exactly one. `manage.py serve` starts this, among others."
    requires_system_checks = ()

    def handle(self, **options: object) -> None:  # noqa: ARG002
        """Run until a signal ends it."""
        schedule = settings.DATA_DIR / "beat-schedule"
        app.start(
            ["beat", "--schedule", str(schedule), "--pidfile=", "--loglevel", settings.LOG_LEVEL]
        )

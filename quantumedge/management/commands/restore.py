"""``manage.py restore FILE``: put a copy that ``backup`` wrote in the place of the database."""

from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from quantumedge.backups import BackupError, restore


class Command(BaseCommand):
    """Put a copy in the place of the database."""

    help = (
        "Replace the database by a copy that backup wrote, bring it to this version, and make the"
        " price panels anew. Stop the server first."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Which copy."""
        parser.add_argument("file", type=Path, help="a file that backup wrote")

    def handle(self, *, file: Path, **options: object) -> None:  # noqa: ARG002
        """Read the file."""
        connections.close_all()
        try:
            restore(settings.DATABASES["default"], file)
        except BackupError as error:
            raise CommandError(str(error)) from error
        call_command("migrate", verbosity=0, interactive=False)
        call_command("rebuild_panel")
        self.stdout.write(f"restored {file}")

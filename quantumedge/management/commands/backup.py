"""``manage.py backup FILE``: copy the database while everything runs."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from quantumedge.backups import BackupError, back_up


class Command(BaseCommand):
    """Write a copy of the database."""

    help = "Copy the database into a new file, of one moment, while everything runs."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument("file", type=Path, help="a file that does not exist yet")

    def handle(self, *, file: Path, **options: object) -> None:  # noqa: ARG002
        """Write the file."""
        try:
            back_up(settings.DATABASES["default"], file)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")

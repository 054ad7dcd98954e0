"""``manage.py export_settings``: write the table of knobs."""

from django.core.management.base import BaseCommand

from quantumedge.settings_table import SETTINGS_FILE, TABLE_FILE, read_knobs, table


class Command(BaseCommand):
    """Write docs/settings.md."""

    help = "Write docs/settings.md from the comments of quantumedge/settings.py."
    requires_system_checks = ()

    def handle(self, **options: object) -> None:  # noqa: ARG002
        """Write the file."""
        TABLE_FILE.write_text(table(read_knobs(SETTINGS_FILE.read_text())))
        self.stdout.write(f"wrote {TABLE_FILE}")

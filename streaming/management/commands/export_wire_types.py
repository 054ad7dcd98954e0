"""``manage.py export_wire_types``: writes the dashboard's types, or checks them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from streaming.wire_types import WIRE_FILE, typescript


class Command(BaseCommand):
    """Keeps the dashboard's TypeScript types equal to the protocol."""

    help = "Write the dashboard's TypeScript types from streaming/protocol.py."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--check``."""
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; fail when the file is out of date."
        )

    def handle(self, **options: Any) -> None:
        """Write the file, or compare it."""
        generated = typescript()
        if not options["check"]:
            WIRE_FILE.write_text(generated, encoding="utf-8")
            self.stdout.write(f"wrote {WIRE_FILE.name}")
        elif WIRE_FILE.read_text(encoding="utf-8") != generated:
            raise CommandError(
                f"{WIRE_FILE.name} differs from streaming/protocol.py;"
                " run `manage.py export_wire_types` and commit the file"
            )

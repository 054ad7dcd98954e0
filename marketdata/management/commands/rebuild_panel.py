"""``manage.py rebuild_panel``: make the current panel again from the database."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketdata.errors import MarketDataError
from marketdata.services import panel_rebuild


class Command(BaseCommand):
    """Build the panel of the current data version from the bars in the database."""

    help = "Build this machine's panel of the current data version from the database."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Build it and say which version it is."""
        try:
            version = panel_rebuild().version
        except MarketDataError as error:
            raise CommandError(error.message) from error
        self.stderr.write(f"Panel of data version {version} is in place")

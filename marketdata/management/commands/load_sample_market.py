"""``manage.py load_sample_market``: real sample prices, and simulated ones, labelled."""

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from marketdata.errors import MarketDataError
from marketdata.sample import sample_load


class Command(BaseCommand):
    """Load the symbols of the sample market that have no bars yet."""

    help = "Load the sample market: 20 real symbols 1990 to 2022 and 6 simulated ones."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare --until."""
        parser.add_argument(
            "--until",
            type=dt.date.fromisoformat,
            metavar="YYYY-MM-DD",
            help="last day to load; the replay feed can play the days after it",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Load what is missing; a second run changes nothing."""
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        try:
            console.print(self._load(options["until"], console), highlight=False, soft_wrap=True)
        except MarketDataError as error:
            raise CommandError(error.message) from error

    def _load(self, until: dt.date | None, console: Console) -> str:
        quiet = not console.is_terminal
        with Progress(console=console, transient=True, disable=quiet) as progress:
            task = progress.add_task("Loading the sample market", total=None)

            def stored(_symbol: str, total: int) -> None:
                progress.update(task, advance=1, total=total)

            return sample_load(until, stored)

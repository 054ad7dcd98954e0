"""``manage.py load_sample_market``: real sample prices, and simulated ones, labelled."""

import argparse
import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from marketdata.errors import MarketDataError
from marketdata.models import Asset, Source
from marketdata.sample import sample_histories, sample_symbols
from marketdata.selectors import current_data_version, load_panel
from marketdata.services import histories_store


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
        wanted = set(sample_symbols())
        wanted -= set(Asset.objects.filter(bar_count__gt=0).values_list("symbol", flat=True))
        if not wanted:
            version = load_panel(current_data_version()).version
            return f"Sample market: loaded already (data version {version})"
        quiet = not console.is_terminal
        with Progress(console=console, transient=True, disable=quiet) as progress:
            task = progress.add_task("Reading the sample market", total=None)
            histories = [h for h in sample_histories(until) if h.symbol in wanted]
            progress.update(task, description="Loading the sample market", total=len(histories))
            version = histories_store(
                histories,
                reason=f"load_sample_market: {len(histories)} symbols",
                on_stored=lambda _symbol: progress.advance(task),
            ).name
        simulated = sum(history.source == Source.SIMULATED for history in histories)
        bars = sum(len(history.dates) for history in histories)
        return (
            f"Sample market: {len(histories) - simulated} real and {simulated} simulated symbols,"
            f" {bars} bars to {histories[0].dates[-1]} (data version {version})"
        )

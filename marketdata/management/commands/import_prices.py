"""``manage.py import_prices FILE.csv``: daily closes from a file, all of it or nothing."""

import argparse
import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from marketdata.command_line import stored_document
from marketdata.errors import MarketDataError
from marketdata.models import Source
from marketdata.price_file import read_histories
from marketdata.services import histories_store


class Command(BaseCommand):
    """Import closes in one transaction and publish a new data version."""

    help = (
        "Import daily closes from a CSV file: date,symbol,close or date and a column per symbol."
        " Exit code 1: nothing was imported, and why."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the file and --source."""
        parser.add_argument("file", type=Path, help="CSV file with a header; .gz is unpacked")
        parser.add_argument(
            "--source",
            choices=Source.values,
            default=Source.REAL,
            help="what the prices are (default: real)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import the file and say what came in."""
        console = Console(file=self.stderr, soft_wrap=True)  # type: ignore[arg-type]
        try:
            done = _import(options["file"], Source(options["source"]), console)
        except MarketDataError as error:
            raise CommandError(f"nothing imported: {error.message}") from error
        if options["json"]:
            self.stdout.write(json.dumps(done))
            return
        console.print(
            f"Imported {done['bars']} {done['source']} bars of {len(done['symbols'])} symbols,"
            f" {done['first']} to {done['last']} (data version {done['data_version']})",
            highlight=False,
        )


def _import(path: Path, source: Source, console: Console) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        size = path.stat().st_size if path.is_file() else None
        reading = progress.add_task(f"Reading {path.name}", total=size)
        histories = read_histories(
            path, source, lambda position: progress.update(reading, completed=position)
        )
        storing = progress.add_task("Storing", total=len(histories))
        version = histories_store(
            histories,
            reason=f"import_prices {path.name}",
            on_stored=lambda _symbol: progress.advance(storing),
        )
    return {**stored_document(histories, version), "source": str(source)}

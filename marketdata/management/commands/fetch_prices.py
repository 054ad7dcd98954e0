"""``manage.py fetch_prices``: daily closes from Yahoo through yfinance, an optional extra."""

import argparse
import datetime as dt
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from marketdata.command_line import stored_document
from marketdata.errors import MarketDataError
from marketdata.selectors import real_symbols
from marketdata.services import histories_store
from marketdata.yahoo import fetch_histories


class Command(BaseCommand):
    """Fetch completed daily closes and publish a new data version."""

    help = (
        "Fetch daily closes through yfinance (optional: pip install -r requirements-extra.in)."
        " Exit code 1: nothing was fetched, and why."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the symbols and the first day."""
        parser.add_argument("symbols", nargs="*", help="left out: every real symbol loaded")
        parser.add_argument(
            "--start",
            type=dt.date.fromisoformat,
            default=dt.date(1990, 1, 1),
            metavar="YYYY-MM-DD",
            help="first day to fetch (default: 1990-01-01)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Fetch whole histories: adjusted closes of one fetch fit those of no other."""
        console = Console(file=self.stderr, soft_wrap=True)  # type: ignore[arg-type]
        symbols = options["symbols"] or list(real_symbols())
        try:
            with console.status(f"Fetching {len(symbols)} symbols"):
                histories = fetch_histories(symbols, options["start"])
                version = histories_store(histories, reason=f"fetch_prices {len(symbols)} symbols")
        except MarketDataError as error:
            raise CommandError(error.message) from error
        done = stored_document(histories, version)
        if options["json"]:
            self.stdout.write(json.dumps(done))
            return
        console.print(
            f"Fetched {len(done['symbols'])} symbols to {done['last']}"
            f" (data version {done['data_version']})",
            highlight=False,
        )

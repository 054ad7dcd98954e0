"""``manage.py run_feed NAME``: bring quotes until told to stop."""

import argparse
import asyncio
import dataclasses
import json
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from marketdata.errors import MarketDataError
from marketdata.feeds.base import Backoff, Feed, Recorder, run
from marketdata.feeds.registry import FEEDS, FeedOptions, build_feed
from marketdata.quarantine import Limits, TickFilter
from marketdata.quotes import Quote
from marketdata.selectors import last_closes
from marketdata.signals import tick_recorded


class Command(BaseCommand):
    """Run one feed in the foreground; SIGTERM or SIGINT ends it."""

    help = (
        "Run a market feed until SIGTERM or SIGINT."
        " Exit code 1: it cannot run, and why; 0: it was told to stop."
    )
    # The URL checks would load the web side into a process that never serves.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the feed's name and options."""
        parser.add_argument("name", choices=sorted(FEEDS))
        parser.add_argument(
            "--symbols",
            default=",".join(settings.FEED_SYMBOLS),
            help="comma-separated; left out: FEED_SYMBOLS, or else the feed's own choice",
        )
        parser.add_argument(
            "--rate",
            type=float,
            default=settings.FEED_RATE,
            help="batches a second; for a replay, days a second (default: FEED_RATE)",
        )
        parser.add_argument("--file", type=Path, help="CSV file of a replay; else the sample")
        parser.add_argument("--seed", type=int, help="seed of everything random")
        parser.add_argument(
            "--json", action="store_true", help="print every quote as a line of JSON, too"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until a signal comes or the feed ends."""
        symbols = tuple(s.strip() for s in options["symbols"].split(",") if s.strip())
        try:
            feed_options = FeedOptions(
                symbols=symbols or None,
                rate=options["rate"],
                seed=options["seed"],
                file=options["file"],
            )
            feed = build_feed(options["name"], feed_options)
            recorder = Recorder(TickFilter.starting_at(last_closes(), Limits()))
            if options["json"]:
                tick_recorded.connect(self._print, weak=False)
            self.stderr.write(f"Feed {feed.name}: running")
            self.stderr.flush()
            asyncio.run(_until_stopped(feed, recorder, np.random.default_rng(options["seed"])))
        except MarketDataError as error:
            raise CommandError(error.message) from error
        except RedisError as error:
            raise CommandError(f"the Redis of REDIS_URL does not answer: {error}") from error
        finally:
            tick_recorded.disconnect(self._print)
        self.stderr.write(f"Feed {feed.name}: stopped")

    def _print(self, *, quotes: Mapping[str, Quote], **_kwargs: Any) -> None:
        for quote in quotes.values():
            self.stdout.write(json.dumps(dataclasses.asdict(quote)))
        self.stdout.flush()


async def _until_stopped(feed: Feed, recorder: Recorder, rng: np.random.Generator) -> None:
    running = asyncio.ensure_future(_stay(run(feed, recorder, Backoff(), rng)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()


async def _stay(feed: Coroutine[Any, Any, None]) -> None:
    """Run ``feed`` and, when it ends as a replay does, go on without ticks: it shows as stale."""
    await feed
    await asyncio.Event().wait()

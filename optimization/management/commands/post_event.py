"""``manage.py post_event``: news that watched portfolios may be optimised for."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from optimization.command_line import refusal
from optimization.errors import RequestError
from optimization.watching.events import MarketEvent, event_post


class Command(BaseCommand):
    """Hand an event to the watcher."""

    help = "Post a market event: portfolios with a news trigger that it concerns are optimised."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """What happened, and to whom."""
        parser.add_argument("headline")
        parser.add_argument("symbols", nargs="*", help="left out: the whole market")
        parser.add_argument("--json", action="store_true", help="print the event as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Post it."""
        event = MarketEvent(options["headline"], tuple(options["symbols"]))
        try:
            event_post(event)
        except RequestError as error:
            raise refusal(error) from error
        except RedisError as error:
            raise CommandError(
                f"Redis cannot be reached ({error}); is the server running? see manage.py doctor"
            ) from error
        document = {"headline": event.headline, "symbols": list(event.symbols)}
        to_whom = ", ".join(event.symbols) or "the whole market"
        self.stdout.write(
            json.dumps(document) if options["json"] else f"Posted: {event.headline} ({to_whom})"
        )

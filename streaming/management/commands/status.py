"""``manage.py status``: how the running service does."""

import dataclasses
import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from redis.exceptions import RedisError
from rich.table import Table

from optimization.command_line import console, result_table
from optimization.presentation import NO_VALUE, Row, percent, seconds
from streaming.monitoring.figures import ServiceFigures, service_figures


class Command(BaseCommand):
    """Show queues, workers, cache, connections, feed and latencies, over all processes."""

    help = (
        "Show how the service does: queues, workers, cache, connections, feed, latencies."
        " Exit code 1: Redis or the database cannot be reached."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --json."""
        parser.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Gather and print."""
        try:
            figures = service_figures()
        except (RedisError, DatabaseError) as error:
            raise CommandError(f"{error}; run: manage.py doctor") from error
        if options["json"]:
            self.stdout.write(json.dumps(figures_document(figures), allow_nan=False))
        else:
            self._print(figures)

    def _print(self, figures: ServiceFigures) -> None:
        out = console(self.stdout)
        lanes = _table("Lanes", "Lane", "Waiting", "Running", "Lost", "Processes")
        for lane in figures.lanes:
            counts = (lane.waiting, lane.running, lane.lost, lane.processes)
            lanes.add_row(lane.lane, *map(str, counts))
        out.print(lanes)
        methods = _table("Methods", "Method", "Ended", "Failed", "Waited p50", "Ran p50", "Ran p99")
        for method in figures.methods:
            times = (method.waited.p50, method.ran.p50, method.ran.p99)
            failed = percent(method.error_rate)
            methods.add_row(method.method, str(method.total), failed, *map(seconds, times))
        out.print(methods)
        topics = ", ".join(f"{name}: {n}" for name, n in figures.subscriptions.items())
        cache, feed = figures.cache, figures.feed
        freshness = NO_VALUE
        if figures.feed_age is not None:
            age = seconds(figures.feed_age)
            freshness = f"{feed.name}, last tick {age} ago{', stale' if feed.stale else ''}"
        rows = [
            Row("Connections", str(figures.connections)),
            Row("Subscriptions", topics or NO_VALUE),
            Row(
                "Cache", f"{cache.total_entries} results, {cache.hits}/{cache.total_accesses} hits"
            ),
            Row("Feed", freshness),
        ]
        out.print(result_table("Service", rows))


def figures_document(figures: ServiceFigures) -> dict[str, Any]:
    """The figures as JSON."""
    document: dict[str, Any] = _json(dataclasses.asdict(figures))
    return document


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return value


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table

"""``manage.py prune_requests --older-than 90d``: shorten the history."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from rich.progress import Progress

from optimization.command_line import console, duration
from optimization.models import TERMINAL, OptimizationRequest
from optimization.totals import forget_totals

BATCH = 1000
"""Rows per transaction: short ones, because writers of SQLite wait for each other."""


class Command(BaseCommand):
    """Delete ended requests of a certain age; those that wait or run stay."""

    help = (
        "Delete requests that ended before a time span, e.g. 90d. Waiting ones are never touched."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the age."""
        parser.add_argument(
            "--older-than", type=duration, required=True, metavar="SPAN", help="90m, 12h, 30d, 8w"
        )
        parser.add_argument("--dry-run", action="store_true", help="count only")
        parser.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Delete in batches and say how many."""
        before = timezone.now() - options["older_than"]
        ended = OptimizationRequest.objects.filter(status__in=TERMINAL, finished_at__lt=before)
        count = ended.count()
        if not options["dry_run"]:
            with Progress(console=console(self.stderr), transient=True) as progress:
                task = progress.add_task("Deleting", total=count)
                while keys := list(ended.order_by("id").values_list("pk", flat=True)[:BATCH]):
                    OptimizationRequest.objects.filter(pk__in=keys).delete()
                    progress.advance(task, len(keys))
            forget_totals()
        if options["json"]:
            document = {"requests": count, "deleted": not options["dry_run"]}
            self.stdout.write(json.dumps(document))
            return
        verb = "would be deleted" if options["dry_run"] else "deleted"
        self.stdout.write(f"{count} requests that ended before {before:%Y-%m-%d %H:%M} UTC {verb}")

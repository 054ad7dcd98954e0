"""``manage.py doctor``: what is wrong and what to do."""

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.table import Table

from optimization.command_line import console
from streaming.monitoring.diagnosis import Finding, Verdict, diagnose

_SIGNS = {
    Verdict.OK: "[green]ok[/green]",
    Verdict.WARNING: "[yellow]warning[/yellow]",
    Verdict.FAILURE: "[red]failure[/red]",
}


class Command(BaseCommand):
    """Check everything that the server needs and say what to do about what is missing."""

    help = (
        "Check Python, packages, settings, database, migrations, Redis, market data, workers and"
        " feed, and say what to do. Exit code 1: something that is needed fails."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --json."""
        parser.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look and tell."""
        findings = []
        with console(self.stderr).status("Looking") as status:
            for finding in diagnose():
                status.update(finding.name)
                findings.append(finding)
        if options["json"]:
            document = [dataclasses.asdict(finding) for finding in findings]
            self.stdout.write(json.dumps(document))
        else:
            self._print(findings)
        failures = [f.name for f in findings if f.verdict is Verdict.FAILURE]
        if failures:
            raise CommandError(f"needs a mend: {', '.join(failures)}")

    def _print(self, findings: list[Finding]) -> None:
        table = Table(show_header=False, box=None)
        for finding in findings:
            lines = f"{finding.detail}\n→ {finding.mend}" if finding.mend else finding.detail
            table.add_row(finding.name, _SIGNS[finding.verdict], lines)
        console(self.stdout).print(table)

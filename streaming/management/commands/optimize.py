"""``manage.py optimize SYMBOL…``: solve one problem here, without a server."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from optimization.command_line import console, refusal, result_table
from optimization.engine.problem import Method
from optimization.engine.problem import Progress as Report
from optimization.errors import RequestError
from optimization.presentation import (
    Row,
    explanation,
    metric_rows,
    percent,
    seconds,
    weight_rows,
    window_words,
)
from optimization.solving.local_runs import LocalRun, run_locally
from streaming.command_line import add_problem_arguments, stated_problem


class Command(BaseCommand):
    """Optimise a portfolio in this process, with the server's engine and data."""

    help = (
        "Optimise a portfolio here, without a server, on the loaded prices."
        " Exit code 1: no result, and why; 2: wrong arguments."
    )
    # The checks would load the web side into a process that never serves.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the problem and the method."""
        add_problem_arguments(parser)
        parser.add_argument(
            "--method",
            default=Method.MEAN_VARIANCE.value,
            choices=[method.value for method in Method],
            help="how to solve (default: %(default)s)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Solve and print."""
        request = stated_problem(options, Method(options["method"]))
        try:
            run = self._run(request.row())
        except RequestError as error:
            raise refusal(error) from error
        if options["json"]:
            self.stdout.write(json.dumps(run.document(), allow_nan=False))
        else:
            self._print(run)

    def _run(self, row: Any) -> LocalRun:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console(self.stderr), transient=True) as progress:
            task = progress.add_task(f"{row.method}: loading the solver", total=None)

            def report(report: Report) -> None:
                gap = "" if report.gap is None else f", gap {percent(report.gap)}"
                text = f"{row.method}: {report.iteration} iterations, best {report.best_value:.6g}"
                progress.update(task, description=text + gap)

            return run_locally(row, report)

    def _print(self, run: LocalRun) -> None:
        document = run.document()
        metadata, out = document["metadata"], console(self.stdout)
        out.print(result_table("Weights", weight_rows(document["weights"])))
        out.print(result_table("Metrics", metric_rows(document["metrics"])))
        facts = [
            Row("Method", f"{metadata['method']}, {metadata['solver']}"),
            Row("Solve time", seconds(metadata["solve_time"])),
            Row("Certified gap", percent(metadata["optimality_gap"])),
            Row("Window", window_words(metadata["window"])),
            Row("Data version", metadata["data_version"]),
        ]
        out.print(result_table("Evidence", facts))
        for sentence in explanation(metadata):
            out.print(f"• {sentence}")
        simulated = [s for s, source in metadata["data_sources"].items() if source == "simulated"]
        if simulated:
            out.print(f"Simulated prices: {', '.join(simulated)}")

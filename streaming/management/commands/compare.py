"""``manage.py compare SYMBOL…``: every method on one problem, side by side."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table

from optimization.command_line import console
from optimization.engine.problem import Method
from optimization.engine.registry import available_methods
from optimization.errors import RequestError
from optimization.presentation import NO_VALUE, percent, seconds
from optimization.solving.comparing import Outcome, compare_on_workers, refused
from optimization.solving.local_runs import LocalRequest, run_locally
from optimization.submissions import LOCAL_OWNER, Owner, Submission
from streaming.command_line import add_problem_arguments, stated_problem

FIGURES = {
    "expected_return": "Return a year",
    "expected_volatility": "Volatility",
    "sharpe_ratio": "Sharpe ratio",
    "sortino_ratio": "Sortino ratio",
    "cvar": "One-day CVaR",
}
"""Metrics that the table shows, under titles that leave room for six methods."""


class Command(BaseCommand):
    """Solve one problem by every method that can."""

    help = (
        "Solve one problem by every available method and show the results side by side."
        " Exit code 1: no method found a result; 2: wrong arguments."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the problem, the methods and the plot."""
        add_problem_arguments(parser)
        parser.add_argument(
            "--methods",
            nargs="+",
            choices=[method.value for method in Method],
            help="only these (default: every available one)",
        )
        parser.add_argument(
            "--on-workers",
            action="store_true",
            help="have the workers of the running server solve, side by side; Ctrl-C cancels",
        )
        parser.add_argument(
            "--plot",
            type=Path,
            metavar="FILE.png",
            help="draw the weights (needs matplotlib: pip install -r requirements-extra.in)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Solve by every method and print."""
        plot = _plotter() if options["plot"] else None
        methods = [Method(name) for name in options["methods"] or available_methods()]
        problems = [stated_problem(options, method) for method in methods]
        if options["on_workers"] and options["data_version"]:
            raise CommandError("workers solve on the current data; leave --data-version out")
        outcomes = (_side_by_side if options["on_workers"] else _in_turn)(problems, self.stderr)
        if options["json"]:
            self.stdout.write(json.dumps(outcomes, allow_nan=False))
        else:
            self._print(outcomes, options["symbols"])
        solved = [outcome for outcome in outcomes if "result" in outcome]
        if not solved:
            raise CommandError("no method found a result")
        if plot is not None:
            _draw(plot, solved, options["plot"])
            self.stderr.write(f"Wrote {options['plot']}")

    def _print(self, outcomes: list[Outcome], symbols: list[str]) -> None:
        table = Table(
            title="Methods side by side",
            title_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=0,
        )
        table.add_column("", no_wrap=True)
        for outcome in outcomes:
            # A word a line: six methods side by side fit a terminal of 80 columns.
            table.add_column(outcome["method"].replace("_", "\n"), justify="right", no_wrap=True)
        shown = symbols if len(symbols) <= 12 else _heaviest(outcomes, 12)
        for symbol in shown:
            table.add_row(symbol, *(_weight(outcome, symbol) for outcome in outcomes))
        table.add_section()
        for name, title in FIGURES.items():
            table.add_row(title, *(_metric(outcome, name) for outcome in outcomes))
        table.add_section()
        table.add_row("Certified gap", *(_gap(outcome) for outcome in outcomes))
        table.add_row("Solve time", *(_time(outcome) for outcome in outcomes))
        out = console(self.stdout)
        out.print(table)
        for outcome in outcomes:
            if "error" in outcome:
                out.print(f"{outcome['method']}: {outcome['error']['detail']}")


def _in_turn(problems: list[LocalRequest], stderr: Any) -> list[Outcome]:
    """Solve here, by one method after the other."""
    outcomes = []
    with Progress(console=console(stderr), transient=True) as progress:
        task = progress.add_task("Comparing", total=len(problems))
        for problem in problems:
            progress.update(task, description=problem.method.value)
            outcomes.append(_outcome(problem))
            progress.advance(task)
    return outcomes


def _side_by_side(problems: list[LocalRequest], stderr: Any) -> list[Outcome]:
    """Have the workers solve, by all methods at the same time."""
    owner = Owner(LOCAL_OWNER)
    submissions = [
        Submission(
            owner=owner,
            client_id="compare",
            symbols=problem.symbols,
            objective=problem.objective,
            constraints=problem.constraints,
            method=problem.method,
            parameters=problem.parameters,
        )
        for problem in problems
    ]
    with Progress(console=console(stderr), transient=True) as progress:
        task = progress.add_task("Comparing on the workers", total=len(problems))
        return compare_on_workers(submissions, lambda: progress.advance(task))


def _outcome(problem: LocalRequest) -> Outcome:
    try:
        return {
            "method": problem.method.value,
            "result": run_locally(problem.row()).document(),
        }
    except RequestError as error:
        return refused(problem.method.value, error)


def _heaviest(outcomes: list[Outcome], count: int) -> list[str]:
    largest: dict[str, float] = {}
    for outcome in outcomes:
        for symbol, weight in outcome.get("result", {}).get("weights", {}).items():
            largest[symbol] = max(largest.get(symbol, 0.0), abs(weight))
    return sorted(largest, key=lambda symbol: -largest[symbol])[:count]


def _weight(outcome: Outcome, symbol: str) -> str:
    return percent(outcome.get("result", {}).get("weights", {}).get(symbol))


def _metric(outcome: Outcome, name: str) -> str:
    value = outcome.get("result", {}).get("metrics", {}).get(name)
    if value is None:
        return NO_VALUE
    return f"{value:.3f}" if name.endswith("ratio") else percent(value)


def _gap(outcome: Outcome) -> str:
    gap = outcome.get("result", {}).get("metadata", {}).get("optimality_gap")
    return NO_VALUE if gap is None else f"{gap * 100:.4f} %"


def _time(outcome: Outcome) -> str:
    return seconds(outcome.get("result", {}).get("metadata", {}).get("solve_time"))


def _plotter() -> Any:
    """matplotlib, drawing without a display."""
    try:
        figure = import_module("matplotlib.figure")
    except ImportError as error:
        raise CommandError(
            "--plot needs matplotlib; run: pip install -r requirements-extra.in"
        ) from error
    return figure.Figure


def _draw(figure_class: Any, outcomes: list[Outcome], path: Path) -> None:
    """Grouped bars of the weights, one colour per method."""
    symbols = _heaviest(outcomes, 20)
    figure = figure_class(figsize=(max(6.0, 0.7 * len(symbols) + 3.0), 4.5), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(outcomes)
    for number, outcome in enumerate(outcomes):
        places = [index + number * width for index in range(len(symbols))]
        heights = [100 * outcome["result"]["weights"].get(symbol, 0.0) for symbol in symbols]
        axes.bar(places, heights, width, label=outcome["method"])
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(symbols))], symbols)
    axes.set_ylabel("Weight (%)")
    axes.legend()
    figure.savefig(path, dpi=150)

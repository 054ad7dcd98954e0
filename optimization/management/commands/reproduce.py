"""``manage.py reproduce REQUEST_ID``: solve a recorded request again and compare the weights."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.table import Table

from optimization.command_line import console, refusal
from optimization.errors import RequestError
from optimization.models import Kind, OptimizationRequest, Status
from optimization.solving.local_runs import run_locally

TOLERANCE = 1e-9
"""Largest difference of any weight that counts as the same."""


class Command(BaseCommand):
    """Repeat a recorded run from its record alone: same bars, same parameters, same seed."""

    help = (
        "Solve a recorded request again from its recorded data version and seed."
        f" Exit code 0: every weight agrees to {TOLERANCE:g}; 1: not, or it cannot be repeated."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the request."""
        parser.add_argument("request_id", metavar="REQUEST_ID")
        parser.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Solve, compare, print."""
        recorded = _recorded(options["request_id"])
        then: dict[str, float] = recorded.result["weights"]  # type: ignore[index]  # has one
        with console(self.stderr).status(f"{recorded.method} on {recorded.data_version}"):
            try:
                now = run_locally(_repeated(recorded)).document()["weights"]
            except RequestError as error:
                raise refusal(error) from error
        largest = max(abs(now[symbol] - then[symbol]) for symbol in then)
        agrees = largest <= TOLERANCE
        if options["json"]:
            document = {
                "request_id": recorded.request_id,
                "agrees": agrees,
                "largest_difference": largest,
                "recorded": then,
                "repeated": now,
            }
            self.stdout.write(json.dumps(document, allow_nan=False))
        else:
            self._print(recorded, then, now)
        if not agrees:
            raise CommandError(
                f"the weights differ by up to {largest:.3g}, more than {TOLERANCE:g}"
            )
        if not options["json"]:
            self.stdout.write(f"Agrees: largest difference {largest:.3g}, at most {TOLERANCE:g}")

    def _print(
        self, recorded: OptimizationRequest, then: dict[str, float], now: dict[str, float]
    ) -> None:
        title = f"{recorded.request_id}: {recorded.method} on {recorded.data_version}"
        table = Table(title=title, title_justify="left")
        table.add_column("Symbol")
        for column in ("Recorded", "Repeated", "Difference"):
            table.add_column(column, justify="right")
        for symbol, weight in then.items():
            difference = now[symbol] - weight
            table.add_row(symbol, f"{weight:.12f}", f"{now[symbol]:.12f}", f"{difference:.1e}")
        console(self.stdout).print(table)


def _recorded(request_id: str) -> OptimizationRequest:
    request = OptimizationRequest.objects.filter(request_id=request_id).first()
    if request is None:
        raise CommandError(f"no request {request_id!r} is recorded")
    if request.status != Status.SUCCEEDED or request.result is None:
        raise CommandError(f"{request_id} is {request.status} and has no result to repeat")
    if request.kind != Kind.OPTIMIZATION:
        raise CommandError(f"{request_id} is a {request.kind}; only optimisations are repeated")
    if request.result["metadata"]["window"]["partial"]:
        raise CommandError(
            f"{request_id} was solved with today's unfinished return (include_live); its quotes"
            " are not recorded, so it cannot be repeated"
        )
    return request


def _repeated(recorded: OptimizationRequest) -> OptimizationRequest:
    """The same request, with its window written out: the default lookback may have changed."""
    assert recorded.result is not None  # noqa: S101 - checked by _recorded
    metadata = recorded.result["metadata"]
    lookback = metadata["window"]["observations"]
    return OptimizationRequest(
        request_id=recorded.request_id,
        owner=recorded.owner,
        client_id=recorded.client_id,
        method=recorded.method,
        objective=recorded.objective,
        lane=recorded.lane,
        symbols=recorded.symbols,
        constraints=recorded.constraints,
        parameters={**recorded.parameters, "lookback": lookback, "seed": metadata["seed"]},
        # A cache hit was solved on the version that its result names.
        data_version=metadata["data_version"],
        created_at=recorded.created_at,
    )

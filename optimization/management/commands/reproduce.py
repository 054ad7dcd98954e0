"""``manage.py reproduce REQUEST_ID``: solve a recorded request again and compare the weights."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from rich.table import Table

from optimization.command_line import console, refusal
from optimization.errors import RequestError
from optimization.models import Kind, OptimizationRequest, Status
from optimization.solving.local_runs import solve_locally, trace_locally
from optimization.solving.problems import LiveReturn, build_problem

TOLERANCE = 1e-9
"""Largest difference of any weight that counts as the same."""

WARM = (
    "; this run began where the last one of its watched portfolio had ended, so that of several"
    " portfolios that are optimal alike it may have found another"
)


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
        try:
            recorded, result = _recorded(options["request_id"])
        except DatabaseError as error:
            raise CommandError(f"{error}; run: manage.py doctor") from error
        then = _weights(result)
        with console(self.stderr).status(f"{recorded.method} on {recorded.data_version}"):
            try:
                now = _weights(_repeat(recorded, result))
            except RequestError as error:
                raise refusal(error) from error
        largest = max(abs(now[name] - then[name]) for name in then)
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
                + (WARM if result["metadata"].get("warm_start") else "")
            )
        if not options["json"]:
            self.stdout.write(f"Agrees: largest difference {largest:.3g}, at most {TOLERANCE:g}")

    def _print(
        self, recorded: OptimizationRequest, then: Mapping[str, float], now: Mapping[str, float]
    ) -> None:
        title = f"{recorded.request_id}: {recorded.method} on {recorded.data_version}"
        table = Table(title=title, title_justify="left")
        table.add_column("Point and symbol" if recorded.kind == Kind.FRONTIER else "Symbol")
        for column in ("Recorded", "Repeated", "Difference"):
            table.add_column(column, justify="right")
        for name, weight in then.items():
            difference = now[name] - weight
            table.add_row(name, f"{weight:.12f}", f"{now[name]:.12f}", f"{difference:.1e}")
        console(self.stdout).print(table)


def _recorded(request_id: str) -> tuple[OptimizationRequest, dict[str, Any]]:
    """The row of a request and its result."""
    request = OptimizationRequest.objects.filter(request_id=request_id).first()
    if request is None:
        raise CommandError(f"no request {request_id!r} is recorded")
    if request.status != Status.SUCCEEDED or request.result is None:
        raise CommandError(f"{request_id} is {request.status} and has no result to repeat")
    window = request.result["metadata"]["window"]
    if window["partial"] and "live_returns" not in window:
        raise CommandError(
            f"{request_id} was solved with today's unfinished return (include_live) by a version"
            " that did not record it, so it cannot be repeated"
        )
    return request, request.result


def _weights(result: Mapping[str, Any]) -> dict[str, float]:
    """The weights of a result by symbol, of a frontier by point and symbol."""
    if "points" not in result:
        return dict(result["weights"])
    return {
        f"{point['index']} {symbol}": weight
        for point in result["points"]
        for symbol, weight in point["weights"].items()
    }


def _repeat(recorded: OptimizationRequest, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Solve the same request again.

    Raises:
        RequestError: It has no answer any more.
    """
    request, metadata = _again(recorded, result["metadata"]), result["metadata"]
    window, live = metadata["window"], None
    if window["partial"]:
        returns = np.array([window["live_returns"][symbol] for symbol in recorded.symbols])
        live = LiveReturn(returns, metadata["market_data_timestamp"])
    market = build_problem(request, live)
    if recorded.kind == Kind.FRONTIER:
        return trace_locally(request, market)
    return solve_locally(request, market).document()


def _again(recorded: OptimizationRequest, metadata: Mapping[str, Any]) -> OptimizationRequest:
    """The same request, with its window written out: the default lookback may have changed."""
    window = metadata["window"]
    parameters = {
        **recorded.parameters,
        # A live return is the last of the observations; without quotes there was none.
        "lookback": window["observations"] - int(window["partial"]),
        "include_live": window["partial"],
        "seed": metadata["seed"],
    }
    return OptimizationRequest(
        request_id=recorded.request_id,
        owner=recorded.owner,
        client_id=recorded.client_id,
        kind=recorded.kind,
        method=recorded.method,
        objective=recorded.objective,
        lane=recorded.lane,
        symbols=recorded.symbols,
        constraints=recorded.constraints,
        parameters=parameters,
        # A cache hit was solved on the version that its result names.
        data_version=metadata["data_version"],
        created_at=recorded.created_at,
    )

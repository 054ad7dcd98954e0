"""The arguments that state a problem: what a request on the wire says, for the terminal."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from django.core.management.base import CommandError, CommandParser
from pydantic_core import to_json

from optimization.engine.problem import Method, Objective
from optimization.solving.local_runs import LocalRequest
from streaming.decoding import FrameError, decode
from streaming.protocol import ClientMessage, OptimizationRequestData


def add_problem_arguments(parser: CommandParser) -> None:
    """Declare the arguments that state a problem."""
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    parser.add_argument(
        "--objective",
        default=Objective.MAXIMIZE_SHARPE.value,
        choices=[objective.value for objective in Objective],
        help="what to optimise (default: %(default)s)",
    )
    parser.add_argument(
        "--min-weight", type=float, metavar="W", help="smallest weight of every symbol"
    )
    parser.add_argument(
        "--max-weight", type=float, metavar="W", help="largest weight of every symbol"
    )
    parser.add_argument("--allow-short", action="store_true", help="allow negative weights")
    parser.add_argument("--allow-cash", action="store_true", help="allow to hold less than all")
    parser.add_argument(
        "--constraints",
        type=_json_object,
        default={},
        metavar="JSON|@FILE",
        help="any constraints of the wire, as a JSON object",
    )
    parser.add_argument("--lookback", type=int, metavar="T", help="daily returns in the window")
    parser.add_argument("--risk-free-rate", type=float, metavar="R", help="yearly, as a fraction")
    parser.add_argument("--seed", type=int, help="seed of the method (default: 0)")
    parser.add_argument("--time-limit", type=float, metavar="S", help="seconds for the method")
    parser.add_argument(
        "--parameters",
        type=_json_object,
        default={},
        metavar="JSON|@FILE",
        help="any parameters of the wire, as a JSON object",
    )
    parser.add_argument("--data-version", default="", help="solve on an older version of the bars")
    parser.add_argument("--json", action="store_true", help="print JSON to standard output")


def stated_problem(options: Mapping[str, Any], method: Method) -> LocalRequest:
    """The problem that the arguments state.

    Raises:
        CommandError: The wire would refuse it; names the field at fault.
    """
    constraints = dict(options["constraints"])
    for name in ("min_weight", "max_weight"):
        if options[name] is not None:
            constraints[name] = options[name]
    if options["allow_short"]:
        constraints["long_only"] = False
    if options["allow_cash"]:
        constraints["sum_to_one"] = False
    parameters = dict(options["parameters"])
    for name in ("lookback", "risk_free_rate", "seed", "time_limit"):
        if options[name] is not None:
            parameters[name] = options[name]
    data = _checked(
        {
            "symbols": options["symbols"],
            "objective": options["objective"],
            "constraints": constraints,
            "method": method.value,
            "parameters": parameters,
        }
    )
    return LocalRequest(
        symbols=tuple(data.symbols),
        objective=data.objective,
        constraints=data.constraints,
        method=data.method,
        parameters=data.parameters.model_dump(exclude_none=True),
        data_version=options["data_version"],
    )


def _checked(data: Mapping[str, Any]) -> OptimizationRequestData:
    """The content of a request, by the rules of the wire."""
    frame = {"type": ClientMessage.OPTIMIZATION_REQUEST, "data": data}
    try:
        content = decode(to_json(frame).decode()).data
    except FrameError as error:
        fields = f" [{', '.join(error.fields)}]" if error.fields else ""
        raise CommandError(f"{error.detail}{fields}") from error
    return cast("OptimizationRequestData", content)


def _json_object(text: str) -> dict[str, Any]:
    try:
        source = Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        document = json.loads(source)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return document

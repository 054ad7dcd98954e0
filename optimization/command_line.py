"""What the commands share: consoles, refusals, tables and time spans."""

import argparse
import re
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.table import Table

from optimization.errors import RequestError
from optimization.presentation import Row

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def console(stream: Any) -> Console:
    """A rich console that writes to a command's ``stdout`` or ``stderr``."""
    return Console(file=stream, highlight=False, soft_wrap=True)


def refusal(error: RequestError) -> CommandError:
    """A refused request as the end of a command, with the fields to change."""
    fields = f" [{', '.join(error.fields)}]" if error.fields else ""
    return CommandError(f"{error.message}{fields}")


def result_table(title: str, rows: list[Row]) -> Table:
    """Two columns: names, and figures aligned to the right."""
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.name, row.value)
    return table


def duration(text: str) -> timedelta:
    """A time span such as ``90m``, ``12h``, ``30d`` or ``8w``.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time span; write 90m, 12h, 30d or 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})

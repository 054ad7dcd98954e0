"""What the command lines of the benchmarks share: their help, and figures as a table or as JSON."""

import argparse
import json
from collections.abc import Callable
from typing import Any


def benchmark_options(description: str | None) -> argparse.ArgumentParser:
    """A benchmark's options, ``--json`` among them; its help begins with the docstring as it is."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    return parser


def print_figures(figures: Any, show: Callable[[Any], None], *, as_json: bool) -> None:
    """Print figures as JSON, or let them be shown to a person."""
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)

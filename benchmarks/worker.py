"""What a worker's process spends on one request of 20 assets, from its claim to its published end.

Sets up an installation in a temporary folder with a Valkey of its own and the prices of a seeded
factor model. One process submits requests of every objective that is answered exactly, by turns and
one at a time or a round at once; this one is on duty as a worker's process is: it waits in Redis,
is handed each request, and goes through ``running.run_claimed``, whose steps are timed where they
stand. Nobody listens, so that the web process's work is no part of it. Prints milliseconds, p50 of
each step and p50 and p99 of all. Run with OPENBLAS_NUM_THREADS=1.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.command_line import benchmark_options, print_figures
from benchmarks.exact_requests import (
    EXACT,
    LARGEST_OF_FEW,
    PERIODS,
    SMALL,
    SYMBOLS,
    write_prices,
)
from tests.valkey import start_valkey

PAUSE_SECONDS = 0.01
"""How often who submits looks whether his request has ended: later than it takes, most often."""

SUBMITTER = """
import json, sys, time
import django
django.setup()
from optimization.engine.problem import Constraints, Objective
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
objectives, symbols, lookback, largest, rounds, pause, queued = json.loads(sys.argv[1])

def wait(request):
    while not request.is_terminal:
        time.sleep(pause)
        request.refresh_from_db()

for _ in range(rounds):
    sent = []
    for objective in objectives:
        submission = Submission(
            owner=Owner("local"),
            client_id="benchmark",
            symbols=symbols,
            objective=Objective(objective),
            constraints=Constraints(max_weight=largest),
            parameters={"lookback": lookback},
        )
        sent.append(request_submit(submission).request)
        if not queued:
            wait(sent[-1])
    for request in sent:
        wait(request)
"""

STEPS = {
    "begin": "the row is brought and marked as running, and its start is told",
    "problem": "its window is loaded and its problem stated",
    "solve": "the weights and their certificate",
    "document": "metrics, binding constraints and what the result stands on",
    "closing update": "the row takes the result",
    "publish": "the frame is made, numbered, kept and sent",
    "rest": "what lies between",
}


class Clock:
    """Times functions of modules where they are called, by request."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def time(self, module: Any, function: str, step: str) -> None:
        """Count what a module's function takes for a step."""
        inner: Callable[..., Any] = getattr(module, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[step] += time.perf_counter() - begun

        setattr(module, function, timed)

    def take(self) -> dict[str, float]:
        """Milliseconds by step since the last call."""
        taken = {step: 1e3 * seconds for step, seconds in self.seconds.items()}
        self.seconds.clear()
        return taken


@contextmanager
def installation() -> Iterator[None]:
    """A migrated database, a Valkey and prices, in the environment of this process."""
    with tempfile.TemporaryDirectory(prefix="qe-worker-", dir="/tmp") as name:
        folder = Path(name)
        valkey = start_valkey(folder)
        os.environ.update(
            DJANGO_SETTINGS_MODULE="quantumedge.settings",
            DATA_DIR=name,
            REDIS_URL=f"unix://{folder}/valkey.sock",
            BROKER_URL=f"redis+socket://{folder}/valkey.sock",
            # A request's own lines are written after its end was told.
            LOG_LEVEL="WARNING",
        )
        os.environ.pop("DATABASE_URL", None)
        prices = folder / "prices.csv"
        write_prices(prices)
        try:
            for command in (
                ["migrate"],
                ["import_prices", str(prices), "--source", "simulated"],
            ):
                subprocess.run(
                    [sys.executable, "manage.py", *command],
                    cwd=ROOT,
                    check=True,
                    capture_output=True,
                )
            yield
        finally:
            valkey.kill()
            valkey.wait()


def requests(count: int) -> Iterator[tuple[int, Any, float]]:
    """Run requests turn by turn: the number of each, itself, and when it was claimed."""
    from marketdata.redis_client import redis_client
    from optimization.queue.duty import Duty
    from optimization.queue.lanes import Lane
    from optimization.solving.running import run_claimed

    number = 0
    with redis_client().pipeline(transaction=False) as afterwards:
        while number < count:
            with Duty(Lane.CONVEX, stands_by=True) as duty:
                claim = duty.next(afterwards)
                while claim is not None:
                    begun = time.perf_counter()
                    yield number, run_claimed(claim, afterwards), begun
                    number += 1
                    claim = duty.next(afterwards, claim)


def run(rounds: int, max_weight: float, queued: bool) -> dict[str, list[dict[str, float]]]:
    """Milliseconds by step of every request, by objective."""
    import django

    django.setup()
    from optimization import rows
    from optimization.queue.lanes import Lane
    from optimization.queue.preloading import preload_solvers
    from optimization.signals import request_finished
    from optimization.solving import running

    preload_solvers([Lane.CONVEX])
    clock = Clock()
    clock.time(running, "request_begin", "begin")
    clock.time(running, "build_problem", "problem")
    clock.time(running, "solve", "solve")
    clock.time(running, "result_document", "document")
    clock.time(rows, "end", "closing update")
    clock.time(request_finished, "send", "publish")
    told = 0.0

    def note_end(**_kwargs: Any) -> None:
        nonlocal told
        told = time.perf_counter()

    # Connected last, so that it is called when the frame has been sent.
    request_finished.connect(note_end)
    asked = (EXACT, SYMBOLS[:SMALL], PERIODS, max_weight, rounds + 1, PAUSE_SECONDS, queued)
    submitter = subprocess.Popen(
        [sys.executable, "-c", SUBMITTER, json.dumps(asked)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number, request, begun in requests((rounds + 1) * len(EXACT)):
        steps = clock.take()
        whole = 1e3 * (told - begun)
        steps["rest"] = whole - sum(steps.values())
        if number >= len(EXACT):  # what a first request loads is not what any other pays
            found[request.objective].append({**steps, "whole": whole})
    submitter.wait()
    return found


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians of the steps, and median and 99th percentile of the whole, by objective."""
    figures = {}
    for objective, requests in found.items():
        whole = [steps["whole"] for steps in requests]
        figures[objective] = {
            "p50": float(np.median(whole)),
            "p99": float(np.percentile(whole, 99)),
            **{name: float(np.median([steps[name] for steps in requests])) for name in STEPS},
        }
    return figures


def show(figures: dict[str, dict[str, float]]) -> None:
    console = Console(width=140)
    table = Table(title=f"{SMALL} assets, {PERIODS} days: milliseconds from claim to published end")
    table.add_column("objective")
    for name in ("p50", "p99", *STEPS):
        table.add_column(name, justify="right")
    for objective, row in figures.items():
        table.add_row(objective, *(f"{value:.2f}" for value in row.values()))
    console.print(table)
    for name, words in STEPS.items():
        console.print(f"{name}: {words}")


def main() -> None:
    parser = benchmark_options(__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="requests of each objective")
    parser.add_argument("--max-weight", type=float, default=LARGEST_OF_FEW, help="of every asset")
    parser.add_argument(
        "--queued", action="store_true", help="submit a round at once: the worker is never idle"
    )
    options = parser.parse_args()
    with installation():
        figures = summary(run(options.rounds, options.max_weight, options.queued))
    print_figures(figures, show, as_json=options.json)


if __name__ == "__main__":
    main()

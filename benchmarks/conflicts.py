"""How long it takes to say why a request is impossible, for each kind of constraint.

    python benchmarks/conflicts.py --sizes 5,20,100 --json conflicts.json

Each kind is a request that no portfolio satisfies; the answer is an error with the smallest set of
fields in conflict and the least change to each that would do. Times are processor time on one
thread in milliseconds, from the returns as an array to the error, every time anew; the first
answer of a process, which loads what it needs, is told apart.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from optimization.engine import AssetBounds, Constraints, Group, Objective, Problem, solve
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import FloatArray

PERIODS = 252
GOAL = 5.0
"""Milliseconds within which a request is to be told why it cannot be met."""


@dataclass(frozen=True)
class Row:
    """The times of one kind at one size.

    Attributes:
        kind: Which constraint is in the way.
        n: Assets.
        first: Milliseconds of the first answer of this kind.
        median: Of the others.
        p99: Of the others.
        runs: How many.
        fields: The fields named.
        message: What the error says.
    """

    kind: str
    n: int
    first: float
    median: float
    p99: float
    runs: int
    fields: tuple[str, ...]
    message: str


def returns_of(n: int) -> FloatArray:
    """A market and noise, shape (T, n)."""
    rng = np.random.default_rng(n)
    market = rng.standard_t(5, (PERIODS, 1)) * 0.008
    own = rng.standard_t(5, (PERIODS, n)) * rng.uniform(0.006, 0.015, n)
    return np.asarray(0.0004 + market * rng.uniform(0.7, 1.3, n) + own)


def kinds(symbols: tuple[str, ...]) -> Mapping[str, dict[str, Any]]:
    """An impossible set of constraints for each kind."""
    n, first, second = len(symbols), symbols[0], symbols[1]
    cap = min(0.4, 4.0 / n)
    other = {symbols[-1]: 1.0}
    return {
        "max_weight": {"max_weight": 0.5 / n},
        "min_weight": {"min_weight": 2.0 / n},
        "asset_bounds": {
            "asset_bounds": {s: AssetBounds(min_weight=0.6) for s in (first, second)},
        },
        "group": {
            "max_weight": cap,
            "groups": (Group(name="pair", symbols=(first, second), min_weight=2.1 * cap),),
        },
        "groups": {
            "groups": (
                Group(name="most", symbols=symbols[: n - 1], max_weight=0.5),
                Group(name="last", symbols=symbols[1:], max_weight=0.4),
            ),
        },
        "turnover": {"max_weight": cap, "current_weights": {first: 1.0}, "max_turnover": 0.2},
        "leverage": {"long_only": False, "max_leverage": 0.8},
        "target_return": {"target_return": 50.0},
        "costs": {"target_return": 50.0, "transaction_costs": 0.01},
        "target_volatility": {"target_volatility": 1e-3},
        "volatility_in_group": {
            "target_volatility": 1e-3,
            "groups": (Group(name="pair", symbols=(first, second), min_weight=0.5),),
        },
        "tracking_error": {
            "max_weight": cap,
            "benchmark_weights": other,
            "max_tracking_error": 0.01,
        },
        "volatility_and_turnover": {
            "target_volatility": 1e-2,
            "current_weights": {first: 1.0},
            "max_turnover": 0.4,
        },
        "volatility_and_tracking": {
            "target_volatility": 0.16,
            "benchmark_weights": other,
            "max_tracking_error": 0.01,
        },
        "max_assets": {"max_weight": cap, "max_assets": 1},
        "max_assets_and_group": {
            "max_weight": 0.5,
            "max_assets": 2,
            "groups": (Group(name="three", symbols=symbols[2:5], min_weight=1.0),),
            "asset_bounds": {first: AssetBounds(min_weight=0.1)},
        },
        "min_position": {"max_weight": 0.3, "min_position": 0.28},
    }


def measure(kind: str, n: int, runs: int, objective: Objective) -> Row:
    """The times of one kind.

    Raises:
        RuntimeError: The request was met.
    """
    symbols = tuple(f"A{asset:03d}" for asset in range(n))
    returns, limits = returns_of(n), kinds(symbols)[kind]
    times: list[float] = []
    for _ in range(runs + 1):
        problem = Problem(
            returns=returns,
            symbols=symbols,
            objective=objective,
            constraints=Constraints(**limits),
        )
        start = time.process_time()
        try:
            solve(problem)
        except InfeasibleProblemError as error:
            times.append(1e3 * (time.process_time() - start))
            fields, message = error.fields, error.message
        else:
            raise RuntimeError(f"{kind} at {n} assets can be met")
    return Row(
        kind,
        n,
        first=times[0],
        median=float(np.median(times[1:])),
        p99=float(np.percentile(times[1:], 99)),
        runs=runs,
        fields=fields,
        message=message,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="5,20,100", help="assets, by commas")
    parser.add_argument("--kinds", help="by commas; every one if left out")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--objective", default=Objective.MINIMIZE_VARIANCE.value)
    parser.add_argument("--json", type=Path, help="write every row here")
    chosen = parser.parse_args()
    names = chosen.kinds.split(",") if chosen.kinds else list(kinds(("A", "B")))
    rows = []
    print("| kind | assets | first ms | median ms | p99 ms | fields |")
    print("|---|---:|---:|---:|---:|---|")
    for kind in names:
        for n in (int(size) for size in chosen.sizes.split(",")):
            row = measure(kind, n, chosen.runs, Objective(chosen.objective))
            rows.append(row)
            fields = ", ".join(name.removeprefix("constraints.") for name in row.fields)
            print(
                f"| {kind} | {n} | {row.first:.1f} | {row.median:.2f} | {row.p99:.2f} | {fields} |",
                flush=True,
            )
    slow = [f"{row.kind}/{row.n}" for row in rows if row.p99 > GOAL]
    print(f"p99 over {GOAL:g} ms: {', '.join(slow) or 'none'}")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()

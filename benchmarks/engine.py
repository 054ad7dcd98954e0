"""The exact engine beside skfolio, PyPortfolioOpt, riskfolio-lib and raw solvers, in one process.

    python benchmarks/engine.py --sizes 5x252,20x1260 --json engine.json --plot engine.svg

Arrays in, weights out, moments included. Up to 20 assets the returns are the real ones inside
skfolio's wheel, beyond that a seeded factor model. Long only, fully invested, at most 0.4 (0.1
beyond 20 assets) per asset, no risk-free rate, CVaR of the worst 5 %. Time is processor time on
one thread, which other work on the machine stretches little. Ratios travel between machines,
milliseconds do not.
"""

import argparse
import gzip
import importlib.resources
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd

from benchmarks.peers import PEERS, RAW
from optimization.engine import Constraints, Group, Objective, Problem, Session, Solution, solve
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.measures import cost_function
from optimization.engine.problem import FloatArray

OBJECTIVES = (
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_SHARPE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
)
SIZES = "5x252,20x252,20x1260,50x1260,100x1260,500x1260,1000x1260,3000x756"
LARGEST_REAL = 20
WARM_ROWS = 40
LONG = 5
"""A first run of more than this many budgets is the measurement; imports take less."""


@dataclass(frozen=True)
class Row:
    """One library on one problem; times in milliseconds."""

    library: str
    objective: str
    n: int
    periods: int
    median: float
    slowest: float
    runs: int
    value: float | None = None
    excess: float | None = None
    violation: float | None = None
    gap: float | None = None
    times_ours: float | None = None
    error: str | None = None


@cache
def real_returns() -> FloatArray:
    resource = importlib.resources.files("skfolio.datasets") / "data" / "sp500_dataset.csv.gz"
    with resource.open("rb") as packed, gzip.open(packed, "rt") as text:
        prices = pd.read_csv(text, index_col=0)
    return np.asarray(prices.pct_change().iloc[1:], dtype=np.float64)


def factor_returns(n: int, periods: int) -> FloatArray:
    """A market, some sector factors and noise, all with Student's t tails."""
    rng = np.random.default_rng(1000 * n + periods)
    factors = int(min(20, max(3, n // 20)))
    volatility = np.r_[0.010, np.full(factors - 1, 0.005)]

    def heavy(*shape: int) -> FloatArray:
        return np.asarray(rng.standard_t(5, size=shape) / np.sqrt(5 / 3))

    loadings = np.c_[rng.normal(1, 0.3, n), rng.normal(0, 0.5, (n, factors - 1))]
    moves = heavy(periods, factors) * volatility
    noise = rng.uniform(0.008, 0.02, n)
    drift = rng.normal(0.08, 0.06, n) / 252
    return np.asarray(drift + moves @ loadings.T + heavy(periods, n) * noise)


def problem_of(objective: Objective, n: int, periods: int) -> Problem:
    real = n <= LARGEST_REAL
    returns = real_returns()[-periods:, :n] if real else factor_returns(n, periods)
    return Problem(
        returns=np.ascontiguousarray(returns),
        symbols=tuple(f"A{asset:04d}" for asset in range(n)),
        objective=objective,
        constraints=Constraints(max_weight=0.4 if real else 0.1),
    )


def measure(run: Callable[[], Any], budget: float) -> tuple[list[float], Any]:
    """Times in milliseconds within a budget of seconds, after one run that warms imports."""
    first = time.process_time()
    result = run()
    times = [1e3 * (time.process_time() - first)]
    if times[0] > 1e3 * LONG * budget:
        return times, result
    times = []
    while not times or (len(times) < 50 and sum(times) < 1e3 * budget):
        start = time.process_time()
        result = run()
        times.append(1e3 * (time.process_time() - start))
    return times, result


def row_of(library: str, problem: Problem, times: list[float], weights: FloatArray) -> Row:
    upper = problem.constraints.upper
    violation = max(0.0, float(-weights.min()), float(weights.max() - upper))
    return Row(
        library=library,
        objective=problem.objective.value,
        n=problem.n_assets,
        periods=problem.n_observations,
        median=float(np.median(times)),
        slowest=max(times),
        runs=len(times),
        value=float(cost_function(problem)(weights)),
        violation=max(violation, abs(float(weights.sum()) - 1.0)),
    )


def own_rows(problem: Problem, budget: float) -> list[Row]:
    """Cold from arrays to a described solution, and warm by one new row each."""

    def cold() -> Solution:
        fresh = Problem(
            returns=problem.returns,
            symbols=problem.symbols,
            objective=problem.objective,
            constraints=problem.constraints,
        )
        return solve(fresh, parameters={"covariance": "sample"})

    times, solution = measure(cold, budget)
    rows = [row_of("quantumedge", problem, times, solution.weights)]
    session = Session(problem, {"covariance": "sample"})
    session.solve()
    rng, times = np.random.default_rng(0), []
    for _ in range(WARM_ROWS):
        pair = rng.integers(problem.n_observations, size=2)
        new = problem.returns[pair].mean(axis=0)
        start = time.process_time()
        warm = session.update(new)
        times.append(1e3 * (time.process_time() - start))
        if sum(times) > 2e3 * budget:
            break
    moved = row_of("quantumedge, one new row", session.problem, times, warm.weights)
    gaps = (solution.optimality_gap, warm.optimality_gap)
    return [replace(row, gap=gap) for row, gap in zip([*rows, moved], gaps, strict=True)]


def other_rows(problem: Problem, ours: Row, chosen: Iterable[str], budget: float) -> list[Row]:
    rows = []
    for name, (weigh, largest) in {**PEERS, **RAW}.items():
        if name not in chosen or problem.n_assets > largest.get(problem.objective, 0):
            continue
        try:
            times, weights = measure(partial(weigh, problem), budget)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
            failed = Row(name, ours.objective, ours.n, ours.periods, 0.0, 0.0, 0, error=repr(error))
            rows.append(failed)
            continue
        found = row_of(name, problem, times, np.asarray(weights))
        mine, theirs = ours.value or 0.0, found.value or 0.0
        rows.append(
            replace(
                found,
                times_ours=found.median / ours.median,
                excess=(theirs - mine) / max(abs(mine), 1e-12),
            )
        )
    return rows


def explanation_times(repeats: int = 20) -> list[Row]:
    """How long an infeasible request takes to be explained."""
    rows = []
    for n in (5, 20, 100):
        base = problem_of(Objective.MINIMIZE_VARIANCE, n, 252)
        group = Group(name="half", symbols=base.symbols[:2], min_weight=0.9)
        constraints = Constraints(max_weight=0.4 if n <= LARGEST_REAL else 0.1, groups=(group,))
        problem = Problem(returns=base.returns, symbols=base.symbols, constraints=constraints)
        times = []
        for _ in range(repeats):
            start = time.process_time()
            try:
                solve(problem)
            except InfeasibleProblemError:
                times.append(1e3 * (time.process_time() - start))
        rows.append(
            Row("quantumedge", "infeasible", n, 252, float(np.median(times)), max(times), repeats)
        )
    return rows


FOOTPRINT = """
import resource, time
def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
import numpy, pandas
before, start = megabytes(), time.process_time()
import {module}
print(megabytes() - before, time.process_time() - start)
"""


def footprints() -> dict[str, dict[str, float]]:
    """Memory and import time that the fast and the general path add to numpy and pandas."""
    found = {}
    for name, module in (
        ("fast path", "optimization.engine.convex.solver"),
        ("general path", "optimization.engine.convex.general"),
    ):
        command = [sys.executable, "-c", FOOTPRINT.format(module=module)]
        memory, seconds = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.split()
        found[name] = {"megabytes": float(memory), "seconds": float(seconds)}
    return found


def table(rows: list[Row]) -> str:
    lines = [
        "| objective | n/T | library | median ms | slowest | × ours | objective excess | gap |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = (
            f"{row.median:.3g} | {row.slowest:.3g} | "
            + (f"{row.times_ours:.3g}" if row.times_ours else "–")
            + " | "
            + (f"{row.excess:.1e}" if row.excess is not None else "–")
            + " | "
            + (f"{row.gap:.1e}" if row.gap is not None else "–")
        )
        figures = figures if row.error is None else f"{row.error[:60]} | | | |"
        lines.append(f"| {row.objective} | {row.n}/{row.periods} | {row.library} | {figures} |")
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Time against the number of assets, one panel per objective."""
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row.objective for row in rows if row.objective != "infeasible"))
    figure, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 4), sharey=True)
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        for library in dict.fromkeys(row.library for row in rows):
            found = [r for r in rows if (r.library, r.objective) == (library, name) and r.runs]
            # One window length per size: the longest.
            longest = {row.n: row for row in sorted(found, key=lambda row: row.periods)}
            sizes = sorted(longest)
            times = [longest[n].median for n in sizes]
            axis.plot(sizes, times, marker="o", markersize=3, label=library)
        axis.set(title=name, xlabel="assets", xscale="log", yscale="log")
    np.atleast_1d(axes)[0].set_ylabel("milliseconds")
    np.atleast_1d(axes)[-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=SIZES, help="assets x periods, by commas")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--libraries", default=",".join([*PEERS, *RAW]))
    parser.add_argument("--budget", type=float, default=2.0, help="seconds per measurement")
    parser.add_argument("--json", type=Path, help="write every row here")
    parser.add_argument("--plot", type=Path, help="draw time against assets here")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    rows: list[Row] = []
    for size in options.sizes.split(","):
        n, periods = (int(part) for part in size.split("x"))
        for name in options.objectives.split(","):
            problem = problem_of(Objective(name), n, periods)
            own = own_rows(problem, options.budget)
            others = other_rows(problem, own[0], options.libraries.split(","), options.budget)
            rows += [*own, *others]
            print(table([*own, *others]).split("\n", 2)[2], flush=True)
    rows += explanation_times()
    added = footprints()
    print(table(rows[-3:]).split("\n", 2)[2])
    print(json.dumps(added))
    if options.json:
        document = {"rows": [asdict(row) for row in rows], "footprints": added}
        options.json.write_text(json.dumps(document, indent=1))
    if options.plot:
        plot(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())

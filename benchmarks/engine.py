"""The exact engine beside skfolio, PyPortfolioOpt, riskfolio-lib and raw solvers, in one process.

    python benchmarks/engine.py --sizes 5x252,20x1260 --json engine.json --plot docs/engine.svg

Arrays in, weights out. Ours are timed from the returns as an array to a certified solution:
checks of the data, moments, weights, certificate and largest violation, every time anew.
"Described" adds metrics, risk contributions and shadow prices in words, which are worked out when
asked for; "one new row" is a session's answer to one more day. Peers get the same array, or the
moments that they ask for made from it, and return weights; none of them certifies or describes.

Up to 20 assets the returns are the real ones inside skfolio's wheel, beyond that a seeded factor
model. Long only, fully invested, at most 0.4 (0.1 beyond 20 assets) per asset, no risk-free rate,
CVaR of the worst 5 %. Time is processor time on one thread, which other work on the machine
stretches little. A peer that takes more than --patience seconds is timed once and not asked for
larger problems. Ratios travel between machines, milliseconds do not.
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
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd

from benchmarks.engine_report import (
    DESCRIBED,
    ONE_ROW,
    OURS,
    Row,
    plot,
    summary,
    table,
)
from benchmarks.peers import COMPARED, PEERS, RAW
from optimization.engine import Constraints, Group, Objective, Problem, Session, Solution, solve
from optimization.engine.errors import InfeasibleProblemError, NoExcessReturnError
from optimization.engine.measures import cost_function
from optimization.engine.problem import FloatArray

SIZES = "5x252,20x1260,50x1260,100x1260,500x1260,1000x1260,3000x756"
LARGEST_REAL = 20
WARM_ROWS = 200
LONG = 5
"""A first run of more than this many budgets is the measurement; imports take less."""


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
        p99=float(np.percentile(times, 99)),
        runs=len(times),
        value=float(cost_function(problem)(weights)),
        violation=max(violation, abs(float(weights.sum()) - 1.0)),
    )


def own_rows(problem: Problem, budget: float) -> list[Row]:
    """Cold from arrays to a certified solution, the same described, and warm by a row each."""

    def cold() -> Solution:
        fresh = Problem(
            returns=problem.returns,
            symbols=problem.symbols,
            objective=problem.objective,
            constraints=problem.constraints,
        )
        return solve(fresh, parameters={"covariance": "sample"})

    def described() -> Solution:
        solution = cold()
        solution.describe()
        return solution

    rows = []
    for name, run in ((OURS, cold), (DESCRIBED, described)):
        times, solution = measure(run, budget)
        row = row_of(name, problem, times, solution.weights)
        rows.append(replace(row, gap=solution.optimality_gap))
    return [*rows, *warm_rows(problem, budget)]


def warm_rows(problem: Problem, budget: float) -> list[Row]:
    """A session that takes rows of its own window again, in random order."""
    session = Session(problem, {"covariance": "sample"})
    warm = session.solve()
    rng, times = np.random.default_rng(0), []
    for _ in range(WARM_ROWS):
        new = problem.returns[int(rng.integers(problem.n_observations))]
        start = time.process_time()
        try:
            warm = session.update(new)
        except NoExcessReturnError:
            continue  # of few assets none need gain in every window
        times.append(1e3 * (time.process_time() - start))
        if sum(times) > 2e3 * budget:
            break
    moved = row_of(ONE_ROW, session.problem, times, warm.weights)
    return [replace(moved, gap=warm.optimality_gap)]


class Peers:
    """The other libraries, and which of them are too slow to be asked for more.

    Args:
        chosen: Names of those to run.
        budget: Seconds per measurement.
        patience: Seconds a solve may take before larger problems are spared it.
    """

    def __init__(self, chosen: list[str], budget: float, patience: float) -> None:
        self.libraries = {name: item for name, item in {**PEERS, **RAW}.items() if name in chosen}
        self.budget = budget
        self.patience = patience
        self.too_slow: dict[tuple[str, Objective], str] = {}

    def rows(self, problem: Problem, ours: Row) -> list[Row]:
        """Their answers to one problem, beside ours."""
        found = []
        for name, (weigh, known) in self.libraries.items():
            if problem.objective not in known:
                continue
            key = (name, problem.objective)
            blank = Row(name, ours.objective, ours.n, ours.periods, 0.0, 0.0, 0)
            if key in self.too_slow:
                found.append(replace(blank, error=self.too_slow[key]))
                continue
            try:
                times, weights = measure(partial(weigh, problem), self.budget)
            except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
                found.append(replace(blank, error=repr(error)))
                continue
            row = row_of(name, problem, times, np.asarray(weights))
            if row.median > 1e3 * self.patience:
                said = f"not run: took {row.median / 1e3:.0f} s for {row.n} assets"
                self.too_slow[key] = said
            mine, theirs = ours.value or 0.0, row.value or 0.0
            excess = (theirs - mine) / max(abs(mine), 1e-12)
            found.append(replace(row, times_ours=row.median / ours.median, excess=excess))
        return found


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
        rows.append(Row(OURS, "infeasible", n, 252, float(np.median(times)), max(times), repeats))
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


PEAK = """
import sys
from benchmarks import engine
problem = engine.problem_of(engine.Objective.MINIMIZE_CVAR, 100, 1260)
if sys.argv[1] == engine.OURS:
    engine.solve(problem).describe()
else:
    engine.PEERS[sys.argv[1]][0](problem)
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) / 1024)
"""


def peaks(libraries: Iterable[str]) -> dict[str, float]:
    """Most megabytes that a process holds in which one minimum CVaR of 100 assets is solved."""
    found = {}
    for name in libraries:
        command = [sys.executable, "-W", "ignore", "-c", PEAK, name]
        root = Path(__file__).resolve().parent.parent
        done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
        found[name] = float(done.stdout.split()[-1])
    return found


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=SIZES, help="assets x periods, by commas")
    parser.add_argument("--objectives", default=",".join(COMPARED))
    parser.add_argument("--libraries", default=",".join([*PEERS, *RAW]))
    parser.add_argument("--budget", type=float, default=2.0, help="seconds per measurement")
    parser.add_argument("--json", type=Path, help="write every row here")
    parser.add_argument("--plot", type=Path, help="draw time against assets here")
    parser.add_argument(
        "--patience", type=float, default=20.0, help="seconds a peer may take before it is spared"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    chosen = options.libraries.split(",")
    peers, rows = Peers(chosen, options.budget, options.patience), list[Row]()
    for size in options.sizes.split(","):
        n, periods = (int(part) for part in size.split("x"))
        for name in options.objectives.split(","):
            problem = problem_of(Objective(name), n, periods)
            own = own_rows(problem, options.budget)
            found = [*own, *peers.rows(problem, own[0])]
            rows += found
            print(table(found).split("\n", 2)[2], flush=True)
        # A large size may take longer than anybody waits: what is known already is kept.
        save(rows, options)
    rows += explanation_times()
    added = footprints()
    highest = peaks([OURS, *(name for name in PEERS if name in chosen)])
    print(table(rows[-3:]).split("\n", 2)[2])
    print(f"added by an import: {json.dumps(added)}")
    print(f"peak megabytes of a process, minimum CVaR of 100 assets: {json.dumps(highest)}")
    print(summary(rows))
    save(rows, options, imports=added, peaks=highest)
    return 0


def save(rows: list[Row], options: argparse.Namespace, **more: Any) -> None:
    """Write the rows, and draw them, where the options say."""
    if options.json:
        document = {"rows": [asdict(row) for row in rows], **more}
        options.json.write_text(json.dumps(document, indent=1))
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    sys.exit(main())

"""Our three searches against pymoo's and scipy's, at equal time and on equal terms.

Every method searches the same feasible set through the same projection and the same vectorised
cost, so that only the search differs. Ours run on their default budgets and stop by themselves;
the others get the whole time limit of the case (0.1 s at 5 assets, 0.5 s at 20, 2 s at 50), or the
time of the slowest of ours if that is longer. Time is processor time, which other work on the
machine does not stretch. "gap" is to the certified exact optimum; where there is none (a choice of
few assets, whole shares, value at risk) it is to the best that any method found in the run.
Medians and worst cases are over the seeds. One core: run with OPENBLAS_NUM_THREADS=1.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.algorithms.soo.nonconvex.pso import PSO
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.repair import Repair
from pymoo.core.termination import Termination
from pymoo.optimize import minimize
from scipy.optimize import dual_annealing
from skfolio.datasets import load_sp500_dataset

from benchmarks.command_line import benchmark_options
from optimization.engine.heuristics.costs import fast_cost_function
from optimization.engine.heuristics.holdings import Holdings
from optimization.engine.heuristics.landscape import Landscape
from optimization.engine.heuristics.reference import reference_of
from optimization.engine.moments import estimate_covariance
from optimization.engine.objectives import CORE
from optimization.engine.problem import (
    Constraints,
    FloatArray,
    Method,
    Objective,
    Problem,
    Progress,
)
from optimization.engine.registry import solve

OURS = {
    "genetic": Method.GENETIC_ALGORITHM,
    "annealing": Method.SIMULATED_ANNEALING,
    "swarm": Method.PARTICLE_SWARM,
}


@dataclass(frozen=True)
class Case:
    """One problem, the time that the others get, and the gap that we promise (or None)."""

    name: str
    problem: Problem
    seconds: float
    goal: float | None


@dataclass(frozen=True)
class Outcome:
    """The cost that one method reached in one run, and the seconds it took."""

    cost: float
    seconds: float
    first_report: float | None = None


def real(assets: int, days: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Daily returns of the S&P 500 stocks in skfolio's wheel."""
    prices = load_sp500_dataset()
    values = prices.to_numpy()
    return (values[1:] / values[:-1] - 1.0)[-days:, :assets], tuple(prices.columns[:assets])


def factor_model(assets: int, days: int) -> tuple[FloatArray, tuple[str, ...]]:
    """A seeded factor model with fat tails."""
    rng = np.random.default_rng(1000 * assets + days)
    factors = max(3, assets // 20)
    loadings = np.c_[rng.normal(1, 0.3, assets), rng.normal(0, 0.5, (assets, factors - 1))]
    scale = np.r_[0.010, np.full(factors - 1, 0.005)] / np.sqrt(5 / 3)
    common = rng.standard_t(5, (days, factors)) * scale
    own = rng.standard_t(5, (days, assets)) / np.sqrt(5 / 3) * rng.uniform(0.008, 0.02, assets)
    drift = rng.normal(0.08, 0.06, assets) / 252
    return drift + common @ loadings.T + own, tuple(f"S{column}" for column in range(assets))


def cases() -> Iterable[Case]:
    """Everything that is promised, and what only a search can do."""
    for assets, days, seconds, goal in ((5, 252, 0.1, 1e-3), (20, 1260, 0.5, 1e-2)):
        returns, symbols = real(assets, days)
        for objective in CORE:
            problem = Problem(
                returns=returns,
                symbols=symbols,
                objective=objective,
                constraints=Constraints(max_weight=0.4),
            )
            yield Case(f"{objective} {assets}/{days}", problem, seconds, goal)
    returns, symbols = factor_model(50, 1260)
    for objective in CORE[:2]:
        limits = Constraints(max_weight=0.1)
        problem = Problem(returns=returns, symbols=symbols, objective=objective, constraints=limits)
        yield Case(f"{objective} 50/1260", problem, 2.0, 1e-2)
    yield from discrete_cases()


def discrete_cases() -> Iterable[Case]:
    """Few assets, whole shares, Omega, Calmar, value at risk."""
    returns, symbols = factor_model(100, 1260)
    few = Constraints(max_weight=0.2, max_assets=10)
    variance = Objective.MINIMIZE_VARIANCE
    problem = Problem(returns=returns, symbols=symbols, objective=variance, constraints=few)
    yield Case("10 of 100 assets, variance", problem, 2.0, None)
    returns, symbols = real(20, 1260)
    problem = Problem(
        returns=returns,
        symbols=symbols,
        objective=variance,
        constraints=Constraints(max_weight=0.4, capital=5000, lot_size=1),
        prices=np.random.default_rng(3).uniform(40, 400, 20),
    )
    yield Case("whole shares 20/1260, variance", problem, 0.5, None)
    for name, objective in (
        ("Omega", Objective.MAXIMIZE_OMEGA),
        ("Calmar", Objective.MAXIMIZE_CALMAR),
        ("value at risk", Objective.MINIMIZE_VALUE_AT_RISK),
    ):
        limits = Constraints(max_weight=0.4)
        problem = Problem(returns=returns, symbols=symbols, objective=objective, constraints=limits)
        yield Case(f"{name} 20/1260", problem, 0.5, None)


def run_ours(problem: Problem, method: Method, seed: int) -> tuple[FloatArray, Outcome]:
    """Our search on its default budget, the exact reference included in its time."""
    reports: list[Progress] = []
    began = time.process_time()
    solution = solve(
        problem, method=method, rng=np.random.default_rng(seed), on_progress=reports.append
    )
    seconds = time.process_time() - began
    return solution.weights, Outcome(np.nan, seconds, reports[0].elapsed)


class _Searched(PymooProblem):  # type: ignore[misc]
    """A landscape as pymoo sees it."""

    def __init__(self, landscape: Landscape) -> None:
        feasible = landscape.holdings.feasible
        super().__init__(n_var=landscape.n_assets, n_obj=1, xl=feasible.lower, xu=feasible.upper)
        self.landscape = landscape

    def _evaluate(
        self, x: FloatArray, out: dict[str, FloatArray], *_: object, **__: object
    ) -> None:
        costs = self.landscape.cost(x)
        out["F"] = np.where(np.isnan(costs), 1e9, np.minimum(costs, 1e9))


class _ProcessorTime(Termination):  # type: ignore[misc]
    """Ends a pymoo run after some seconds of processor time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._began, self._seconds = time.process_time(), seconds

    def _update(self, _algorithm: object) -> float:
        return (time.process_time() - self._began) / self._seconds


class _Decode(Repair):  # type: ignore[misc]
    def _do(self, problem: _Searched, X: FloatArray, **_: object) -> FloatArray:
        return problem.landscape.holdings.decode(X)[0]


def run_pymoo(algorithm: type[GA | PSO]) -> Callable[[Landscape, int, float], Outcome]:
    """A pymoo algorithm with our population size, first population and projection (as repair)."""

    def run(landscape: Landscape, seed: int, seconds: float) -> Outcome:
        began = time.process_time()
        size = min(20 + 2 * landscape.n_assets, 200)
        points = landscape.sample(np.random.default_rng(seed), size)
        start = landscape.holdings.decode(points)[0]
        result = minimize(
            _Searched(landscape),
            algorithm(pop_size=size, repair=_Decode(), sampling=start),
            _ProcessorTime(seconds),
            seed=seed,
            verbose=False,
        )
        seconds = time.process_time() - began
        # Priced anew through the projection, so that a portfolio outside cannot win.
        return Outcome(float(landscape.evaluate(np.atleast_2d(result.X)).costs.min()), seconds)

    return run


class _TimeIsUpError(Exception):
    pass


def run_scipy(landscape: Landscape, seed: int, seconds: float) -> Outcome:
    """Scipy's dual annealing, its local search included."""
    began, best = time.process_time(), np.inf
    feasible = landscape.holdings.feasible

    def cost(point: FloatArray) -> float:
        nonlocal best
        if time.process_time() - began > seconds:
            raise _TimeIsUpError
        value = min(float(landscape.evaluate(point[np.newaxis]).costs[0]), 1e9)
        best = min(best, value)
        return value

    with suppress(_TimeIsUpError):
        dual_annealing(
            cost,
            list(zip(feasible.lower, feasible.upper + 1e-12, strict=True)),
            maxiter=10**6,
            maxfun=10**9,
            rng=np.random.default_rng(seed),
        )
    return Outcome(best, time.process_time() - began)


PEERS = {"pymoo GA": run_pymoo(GA), "pymoo PSO": run_pymoo(PSO), "scipy dual": run_scipy}


def run_case(case: Case, seeds: int) -> list[dict[str, object]]:
    """One row per method."""
    problem = case.problem
    covariance = estimate_covariance(problem.returns, None).covariance
    holdings = Holdings.of(problem)
    landscape = Landscape(problem.objective, holdings, fast_cost_function(problem, covariance))
    reference = reference_of(problem, covariance, holdings.feasible.budget_low)
    outcomes: dict[str, list[Outcome]] = {}
    for name, method in OURS.items():
        for seed in range(seeds):
            weights, outcome = run_ours(problem, method, seed)
            cost = float(landscape.cost(weights))
            outcomes.setdefault(name, []).append(
                Outcome(cost, outcome.seconds, outcome.first_report)
            )
    ours = max(outcome.seconds for runs in outcomes.values() for outcome in runs)
    seconds = max(case.seconds, ours)
    for name, peer in PEERS.items():
        outcomes[name] = [peer(landscape, seed, seconds) for seed in range(seeds)]
    lowest = min(outcome.cost for runs in outcomes.values() for outcome in runs)
    base = reference.bound if reference.exact and reference.bound is not None else lowest
    return [row_of(case, name, runs, base) for name, runs in outcomes.items()]


def row_of(case: Case, name: str, runs: list[Outcome], base: float) -> dict[str, object]:
    """Time and gap of one method over its seeds."""
    gaps = [max(0.0, (run.cost - base) / abs(base)) for run in runs]
    first = [run.first_report for run in runs if run.first_report is not None]
    worst = max(gaps)
    return {
        "case": case.name,
        "method": name,
        "milliseconds": 1e3 * statistics.median(run.seconds for run in runs),
        "gap": statistics.median(gaps),
        "worst_gap": worst,
        "goal": case.goal,
        "goal_met": None if case.goal is None or name not in OURS else worst <= case.goal,
        "first_report_milliseconds": 1e3 * max(first) if first else None,
    }


def print_case(rows: list[dict[str, object]]) -> None:
    """A table of one case; the ratio is of the time to our genetic algorithm's."""
    print(f"\n{rows[0]['case']}")
    print(f"  {'':12}{'ms':>8}{'time ratio':>12}{'gap %':>12}{'worst %':>12}  goal")
    base = float(str(rows[0]["milliseconds"]))
    for row in rows:
        milliseconds = float(str(row["milliseconds"]))
        gap, worst = 100 * float(str(row["gap"])), 100 * float(str(row["worst_gap"]))
        goal = {None: "", True: "met", False: "MISSED"}[row["goal_met"]]  # type: ignore[index]
        print(
            f"  {row['method']:12}{milliseconds:8.0f}{milliseconds / base:12.1f}"
            f"{gap:12.2g}{worst:12.2g}  {goal}"
        )


def main() -> None:
    """Run the benchmark and print tables, or JSON."""
    parser = benchmark_options(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    options = parser.parse_args()
    rows = []
    for case in cases():
        if options.only in case.name:
            found = run_case(case, options.seeds)
            rows += found
            if not options.json:
                print_case(found)
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

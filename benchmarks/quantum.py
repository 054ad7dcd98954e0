"""The quantum methods against the exact optimum, other samplers, qiskit-finance and lightning.

Four tables, one run, four minutes on one core:

portfolios  QAOA and VQE as the server runs them, their gap to the exact optimum; beside them the
            same refinement with bitstrings drawn uniformly, simulated annealing in the same time,
            and the best portfolio of the first grid by brute force.
selection   Half of n assets with equal weights, mean-variance, p = 3: approximation ratio and
            probability of the optimum (by brute force over all choices), beside uniform sampling
            and a swap annealer, each with 1024 valuations.
qiskit      The same selection by qiskit-finance: penalty, X mixer, COBYLA.
gradient    One cost with its full gradient, beside lightning's adjoint and the floor: the time that
            the passes over the amplitudes alone would take.

Nothing here shows an advantage of quantum circuits: annealing is at least as good everywhere.
"""

import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.command_line import benchmark_options
from benchmarks.quantum_circuits import Row, against_qiskit, gradients, selections, timed, window
from optimization.engine.heuristics.search import relative_gap
from optimization.engine.measures import cost_function
from optimization.engine.moments import sample_covariance
from optimization.engine.objectives import CORE
from optimization.engine.problem import Constraints, Method, Problem, Progress, Solution
from optimization.engine.quantum.encoding import LotEncoding
from optimization.engine.quantum.landscape import Landscape, Valuation
from optimization.engine.registry import solve

LIFT = 10
"""How many times as often as uniform sampling a circuit is to draw the optimum: the goal."""

QUANTUM = {"qaoa": Method.QAOA, "vqe": Method.VQE}


def portfolios(instances: int) -> Iterator[Row]:
    """Whole solves of 5, 8 and 20 assets."""
    for assets, goal in ((5, 1e-3), (8, 2.5e-3), (20, None)):
        for objective in CORE:
            problems = [
                Problem(
                    returns=returns,
                    symbols=symbols,
                    objective=objective,
                    constraints=Constraints(max_weight=0.4),
                )
                for returns, symbols in (window(assets, 500 + k) for k in range(instances))
            ]
            yield from _answers(problems, f"{objective} {assets}", goal)


def _answers(problems: list[Problem], case: str, goal: float | None) -> Iterator[Row]:
    seconds = 0.0
    for name, method in QUANTUM.items():
        solved = [_solve(problem, method) for problem in problems]
        seconds = statistics.median(each[0] for each in solved)
        gaps = [_gap(each[1]) for each in solved]
        uniform = [each[1].diagnostics["control"]["optimality_gap"] for each in solved]
        worst, infeasible = max(gaps), max(each[1].max_violation for each in solved)
        lifts = [each[1].diagnostics["lift"] for each in solved]
        yield {
            "case": case,
            "method": name,
            "milliseconds": 1e3 * seconds,
            "first_report_milliseconds": 1e3 * statistics.median(each[2] for each in solved),
            "worst_gap": worst,
            "violation": infeasible,
            "p_feasible": min(each[1].diagnostics["p_feasible"] for each in solved),
            "lift": statistics.median(lifts),
            "least_lift": min(lifts),
            "goal": goal,
            "goal_met": None
            if goal is None
            else worst <= goal and infeasible <= 1e-12 and statistics.median(lifts) >= LIFT,
        }
        if name == "qaoa":
            yield {"case": case, "method": "uniform", "worst_gap": max(uniform)}
    limit = {"time_limit": seconds}
    annealed = [_solve(problem, Method.SIMULATED_ANNEALING, limit) for problem in problems]
    yield {
        "case": case,
        "method": "annealing",
        "milliseconds": 1e3 * statistics.median(each[0] for each in annealed),
        "worst_gap": max(_gap(each[1]) for each in annealed),
    }
    grid = [gap for gap in map(_first_grid, problems) if gap is not None]
    if grid:
        yield {"case": case, "method": "brute force, first grid", "worst_gap": max(grid)}


def _gap(solution: Solution) -> float:
    return float("nan") if solution.optimality_gap is None else solution.optimality_gap


def _solve(
    problem: Problem, method: Method, parameters: Row | None = None
) -> tuple[float, Solution, float]:
    reports: list[Progress] = []
    seconds, solution = timed(
        lambda: solve(
            problem,
            method=method,
            rng=np.random.default_rng(7),
            parameters=parameters,
            on_progress=reports.append,
        )
    )
    return seconds, solution, reports[0].elapsed


def _first_grid(problem: Problem) -> float | None:
    """Gap of the best portfolio on the first grid, all of it valued; None if it is too large."""
    valuation = Valuation(problem, sample_covariance(problem.returns))
    encoding = LotEncoding.lattice(valuation.space, 60, 10**12)
    exact = float(cost_function(problem)(solve(problem).weights))
    if encoding is None or encoding.qubits > 16:
        return None
    return relative_gap(float(Landscape(encoding, valuation).costs.min()), exact)


TABLES: dict[str, Callable[[int], Iterator[Row]]] = {
    "portfolios": portfolios,
    "selection": selections,
    "qiskit": against_qiskit,
    "gradient": gradients,
}

HIDDEN = ("case", "method", "goal", "goal_met")


def show(row: Row) -> str:
    """One line of a table."""
    figures = "  ".join(
        f"{key.removesuffix('_milliseconds').replace('milliseconds', 'ms')} {value:.3g}"
        for key, value in row.items()
        if key not in HIDDEN and value is not None
    )
    verdict = {None: "", True: "goal met", False: "goal MISSED"}[row.get("goal_met")]
    return f"  {row['case']:22}{row['method']:24}{figures}  {verdict}"


def main() -> None:
    """Run the benchmark and print tables, or JSON."""
    parser = benchmark_options(__doc__)
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--only", choices=list(TABLES), help="one table")
    options = parser.parse_args()
    found: dict[str, list[Row]] = {}
    for name, table in TABLES.items():
        if options.only not in (None, name):
            continue
        found[name] = []
        if not options.json:
            print(f"\n{name}")
        for row in table(options.instances):
            found[name].append(row)
            if not options.json:
                print(show(row), flush=True)
    if options.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

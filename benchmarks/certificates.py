"""Random problems by the thousand: what the exact engine answers, and whether it is proven.

    python benchmarks/certificates.py --count 10000 --json certificates.json

For each objective: how many answers the fast and the general path gave, the largest certified gap
and the largest violation among them, the named errors, and how often an independent model in
CVXPY, solved for every so many problems, disagrees. Seeds that went wrong are printed, and
``--seed N --count 1`` solves one again.
"""

import argparse
import json
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.random_problems import random_problem
from benchmarks.reference import (
    Model,
    least_violation,
    most_excess,
    reference_weights,
    violation,
)
from optimization.engine import Objective, Problem, Solution, solve
from optimization.engine.errors import (
    EngineError,
    InfeasibleProblemError,
    NoExcessReturnError,
    SolverFailureError,
    UnboundedProblemError,
)
from optimization.engine.objectives import CORE, RULES

CERTIFIED, FEASIBLE = 1e-8, 1e-9
REFERENCE = 1e-6
"""What the independent model's interior point can tell apart."""

ENDLESS = 1e3
"""A ratio per period that only a risk of rounding's size allows."""

TIME_LIMIT = 5.0
"""Seconds for a search over holdings; a busy machine needs more to finish the same ones."""


@dataclass(frozen=True)
class Outcome:
    """What became of one problem.

    Attributes:
        objective: What was asked.
        seed: Of which problem.
        kind: ``certified``, ``general`` (weaker, and says so), ``rule``, ``interrupted``,
            ``uncertified``, ``crash`` or the code of a named error.
        solver: Which solver gave the answer.
        gap: Certified relative gap, or None.
        violation: Largest violation of a constraint, measured here.
        milliseconds: Time of the solve.
        trouble: What is wrong with it, or empty.
    """

    objective: str
    seed: int
    kind: str
    solver: str = ""
    gap: float | None = None
    violation: float = 0.0
    milliseconds: float = 0.0
    trouble: str = ""


def run_one(task: tuple[str, int], every: int, time_limit: float = TIME_LIMIT) -> Outcome:
    """Solve the problem of a seed; every so many, ask the independent model."""
    name, seed = task
    problem = random_problem(seed, Objective(name))
    compare = bool(every) and seed % every == 0 and problem.objective not in RULES
    started = time.perf_counter()
    try:
        solution = solve(problem, parameters={"time_limit": time_limit})
    except SolverFailureError as error:
        return Outcome(name, seed, error.code, trouble=error.message)
    except EngineError as error:
        spent = 1e3 * (time.perf_counter() - started)
        doubt = doubt_error(problem, error) if compare else ""
        return Outcome(name, seed, error.code, milliseconds=spent, trouble=doubt)
    except Exception:  # noqa: BLE001 a crash is what the campaign looks for
        last = traceback.format_exc().strip().splitlines()
        return Outcome(name, seed, "crash", trouble=" · ".join(last[-3:]))
    spent = 1e3 * (time.perf_counter() - started)
    return judge(problem, solution, Outcome(name, seed, "", milliseconds=spent), compare=compare)


def judge(problem: Problem, solution: Solution, outcome: Outcome, *, compare: bool) -> Outcome:
    """The outcome of an answer."""
    model, gap, troubles = Model.of(problem), solution.optimality_gap, []
    broken = max(violation(model, solution.weights), solution.max_violation)
    if problem.objective in RULES:
        kind = "rule" if gap is None or gap <= CERTIFIED else "uncertified"
    elif solution.diagnostics.get("stopped_by") == "time_limit":
        kind = "interrupted"
    elif gap is not None and gap <= CERTIFIED:
        kind = "certified"
    else:
        kind = "general" if "cvxpy" in solution.solver else "uncertified"
    if kind == "uncertified":
        troubles.append("no certificate")
    if not broken <= FEASIBLE:
        troubles.append(f"violation {broken:.1e}")
    if compare and kind in ("certified", "general"):
        troubles.append(doubt_answer(model, solution))
    return Outcome(
        outcome.objective,
        outcome.seed,
        kind,
        solution.solver,
        gap,
        broken,
        outcome.milliseconds,
        ", ".join(filter(None, troubles)),
    )


def doubt_answer(model: Model, solution: Solution) -> str:
    """What the independent model has against an answer."""
    constraints = model.problem.constraints
    if constraints.max_assets is not None or constraints.min_position:
        return ""
    theirs = reference_weights(model)
    if theirs is None or violation(model, theirs) > 1e-7:
        return ""
    with np.errstate(divide="ignore", invalid="ignore"):
        ours, other = model.cost(solution.weights), model.cost(theirs)
    if ours - other > REFERENCE * max(abs(ours), 0.1):
        return f"CVXPY found {other:.9g}, better than {ours:.9g}"
    return ""


def doubt_error(problem: Problem, error: EngineError) -> str:
    """What the independent model has against a named error."""
    constraints = problem.constraints
    if constraints.max_assets is not None or constraints.min_position:
        return ""
    model = Model.of(problem)
    if isinstance(error, NoExcessReturnError):
        gain = most_excess(model)
        return f"an excess return of {gain:.2g} is possible" if gain > REFERENCE else ""
    if isinstance(error, UnboundedProblemError):
        theirs = reference_weights(model)
        if theirs is None or violation(model, theirs) > 1e-7:
            return ""
        ratio = -model.cost(theirs)
        return f"CVXPY found no ratio beyond {ratio:.3g}" if ratio < ENDLESS else ""
    if isinstance(error, InfeasibleProblemError):
        least = least_violation(model)
        return f"feasible to {least:.1e}" if least < REFERENCE * 1e-2 else ""
    return ""


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """One line of the table."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    answers = [outcome for outcome in outcomes if outcome.solver]
    proven = [outcome.gap for outcome in answers if outcome.kind == "certified"]
    weaker = [outcome.gap for outcome in answers if outcome.kind == "general"]
    general = sum("cvxpy" in outcome.solver for outcome in answers)
    return {
        "count": len(outcomes),
        "answers": len(answers),
        "general_path": general,
        "worst_gap": max((gap for gap in proven if gap is not None), default=None),
        "beyond_certified": len(weaker),
        "worst_general_gap": max((gap for gap in weaker if gap is not None), default=None),
        "without_bound": sum(gap is None for gap in weaker),
        "worst_violation": max((outcome.violation for outcome in answers), default=None),
        "kinds": dict(sorted(kinds.items())),
        "troubles": sum(bool(outcome.trouble) for outcome in outcomes),
    }


def run_all(
    objectives: Sequence[Objective],
    seeds: Iterable[int],
    run: Callable[[tuple[str, int]], Outcome],
    processes: int,
) -> dict[str, list[Outcome]]:
    """Every objective's outcomes, troubles printed as they come."""
    found: dict[str, list[Outcome]] = {}
    numbers = list(seeds)
    with get_context("spawn").Pool(processes, initializer=_quiet) as pool:
        for objective in objectives:
            tasks = [(objective.value, seed) for seed in numbers]
            done = []
            for outcome in pool.imap_unordered(run, tasks, chunksize=8):
                done.append(outcome)
                if outcome.trouble:
                    print(
                        f"{outcome.objective} --seed {outcome.seed}: {outcome.kind}"
                        f" {outcome.solver} gap {outcome.gap}: {outcome.trouble}",
                        flush=True,
                    )
            found[objective.value] = done
            print(f"{objective.value}: {json.dumps(summary(done))}", flush=True)
    return found


def _quiet() -> None:
    warnings.simplefilter("error", RuntimeWarning)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=200, help="problems per objective")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--objectives", default=",".join(CORE))
    parser.add_argument("--every", type=int, default=20, help="compare every so many; 0: none")
    parser.add_argument(
        "--time-limit", type=float, default=TIME_LIMIT, help="seconds of a search over holdings"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    names = chosen.objectives.split(",")
    objectives = [item for item in Objective if item in names]
    seeds = range(chosen.seed, chosen.seed + chosen.count)
    run = partial(run_one, every=chosen.every, time_limit=chosen.time_limit)
    found = run_all(objectives, seeds, run, chosen.processes)
    if chosen.json:
        report = {
            name: {
                "summary": summary(outcomes),
                "weaker": [
                    asdict(outcome)
                    for outcome in outcomes
                    if outcome.kind in ("general", "interrupted")
                ],
                "troubles": [asdict(outcome) for outcome in outcomes if outcome.trouble],
            }
            for name, outcomes in found.items()
        }
        chosen.json.write_text(json.dumps(report, indent=1))
    if any(outcome.trouble for outcomes in found.values() for outcome in outcomes):
        sys.exit("the seeds above went wrong")


if __name__ == "__main__":
    main()

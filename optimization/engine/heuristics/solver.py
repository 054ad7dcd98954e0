"""From a problem to a solution by search."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import numpy as np

from optimization.engine.covariance import SAMPLE
from optimization.engine.description import describe_portfolio
from optimization.engine.errors import SolverFailureError, UnsupportedProblemError
from optimization.engine.heuristics.annealing import anneal
from optimization.engine.heuristics.budget import Budget
from optimization.engine.heuristics.costs import fast_cost_function
from optimization.engine.heuristics.genetic import evolve
from optimization.engine.heuristics.holdings import Holdings
from optimization.engine.heuristics.landscape import Landscape, in_metric
from optimization.engine.heuristics.reference import reference_of
from optimization.engine.heuristics.search import Move, Run
from optimization.engine.heuristics.swarm import swarm
from optimization.engine.heuristics.tail_descent import descend
from optimization.engine.measures import HELD, cost_function
from optimization.engine.moments import estimate_covariance
from optimization.engine.objectives import BY_COVARIANCE, SEARCHED
from optimization.engine.problem import Objective, Problem, Progress, Solution
from optimization.engine.registry import SolveContext

_TREATED = frozenset(
    f"constraints.{name}"
    for name in ("max_assets", "min_position", "transaction_costs", "lot_size", "fixed_fee")
)
"""Constraints besides bounds and budget that the search treats."""

_BY_MOMENTS = frozenset(
    {Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_RETURN}
)
"""Objectives whose cost does not grow with the number of days."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to search.

    Attributes:
        name: As results call it.
        move: The search itself.
        population: Default number of portfolios for n assets.
        effort: Default evaluations, relative to the other strategies: a small population spends
            more time per evaluation.
    """

    name: str
    move: Move
    population: Callable[[int], int]
    effort: float = 1.0


_GENETIC = Strategy("genetic", evolve, lambda n: min(20 + 2 * n, 200))
_SWARM = Strategy("swarm", swarm, lambda n: min(20 + 2 * n, 200))
_ANNEALING = Strategy("annealing", anneal, lambda n: min(16 + n // 5, 60), effort=0.6)


def solve_genetic(problem: Problem, context: SolveContext) -> Solution:
    """Solve with the genetic algorithm.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    return _solve(problem, context, _GENETIC)


def solve_annealing(problem: Problem, context: SolveContext) -> Solution:
    """Solve with simulated annealing.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    return _solve(problem, context, _ANNEALING)


def solve_swarm(problem: Problem, context: SolveContext) -> Solution:
    """Solve with particle swarm optimisation.

    Raises:
        EngineError: See ``optimization.engine.errors``.
    """
    return _solve(problem, context, _SWARM)


def _solve(problem: Problem, context: SolveContext, strategy: Strategy) -> Solution:
    started = perf_counter()
    budget = _budget(problem, context, strategy)
    _refuse_untreated(problem)
    holdings = Holdings.of(problem)
    landscape = Landscape(problem.objective, holdings, cost_function(problem))
    _report_centre(landscape, context, started)
    requested = context.parameters.get("covariance")
    covariance = estimate_covariance(problem.returns, requested).covariance
    landscape = replace(landscape, cost=fast_cost_function(problem, covariance))
    reference = reference_of(problem, covariance, holdings.feasible.budget_low)
    run = Run(landscape, context, budget, reference=reference, started=started)
    strategy.move(run)
    finished = _finish(run, problem)
    weights = run.best.weights
    return Solution(
        weights=weights,
        solver=strategy.name,
        solve_time=perf_counter() - started,
        optimality_gap=run.gap,
        max_violation=holdings.violation(weights),
        covariance=covariance.kind if problem.objective in BY_COVARIANCE else SAMPLE,
        describe=partial(describe_portfolio, weights, problem, covariance),
        diagnostics=_diagnostics(run, problem, context) | finished,
    )


def _finish(run: Run, problem: Problem) -> dict[str, object]:
    """Take a search for the least value at risk to the local optimum beside it; says so.

    Its valleys have edges, along which every way of searching creeps.
    """
    if problem.objective != Objective.MINIMIZE_VALUE_AT_RISK or problem.constraints.beyond_bounds:
        return {}
    excess = problem.returns - problem.period_risk_free_rate
    tail, feasible = problem.constraints.cvar_confidence, run.landscape.holdings.feasible
    try:
        moved = descend(excess, tail, feasible, run.best.weights)
    except SolverFailureError:
        return {}
    run.evaluate(moved[np.newaxis])
    return {"finished_by": "linear programmes over the days that may not lose more"}


def _budget(problem: Problem, context: SolveContext, strategy: Strategy) -> Budget:
    """Enough evaluations for the precision promised, in less than the time promised."""
    n = problem.n_assets
    by_moments = problem.objective in _BY_MOMENTS
    per_asset = 1200 if by_moments else 500
    if problem.objective in SEARCHED:
        per_asset *= 3  # rugged: more valleys to look into
    enough = min(per_asset * n, 60_000, 12_000_000 / n)
    evaluations = strategy.effort * max(6000, enough)
    population = strategy.population(n)
    return Budget.of(
        context.parameters, population=population, iterations=int(evaluations / population)
    )


def _refuse_untreated(problem: Problem) -> None:
    untreated = [name for name in problem.constraints.beyond_bounds if name not in _TREATED]
    if untreated:
        raise UnsupportedProblemError(
            f"a search cannot treat {', '.join(untreated)}; leave them out or use method"
            " mean_variance",
            [*untreated, "method"],
        )


def _report_centre(landscape: Landscape, context: SolveContext, started: float) -> None:
    """Report one portfolio at once: the moments and the bound can take longer than 50 ms."""
    centre = landscape.centre()
    context.on_progress(
        Progress(
            iteration=0,
            evaluations=1,
            best_value=landscape.in_metric(float(landscape.cost(centre))),
            bound=None,
            gap=None,
            elapsed=perf_counter() - started,
            weights=centre,
        )
    )


def _diagnostics(run: Run, problem: Problem, context: SolveContext) -> dict[str, object]:
    reference, weights = run.reference, run.best.weights
    seed, constraints = context.parameters.get("seed"), problem.constraints
    facts: dict[str, object] = {
        "evaluations": run.evaluations,
        "iterations": run.iterations,
        "population": run.budget.population,
        "stopped_by": None if run.stopped_by is None else run.stopped_by.value,
        "gap_basis": reference.basis,
        "reference": None
        if reference.bound is None
        else in_metric(problem.objective, reference.bound),
        "positions": int((np.abs(weights) > HELD).sum()),
    }
    if seed is not None:
        facts["seed"] = seed
    if constraints.lot_size is not None and run.landscape.holdings.lots is not None:
        counts = np.rint(weights / run.landscape.holdings.lots) * constraints.lot_size
        facts["shares"] = dict(zip(problem.symbols, counts.tolist(), strict=True))
        facts["cash"] = (constraints.capital or 0.0) * (1.0 - float(weights.sum()))
    return facts

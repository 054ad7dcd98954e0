"""Solutions of problems whose holdings have to be searched for."""

from dataclasses import replace
from functools import partial

import numpy as np

from optimization.engine.convex.cardinality import SearchState, branch_and_bound
from optimization.engine.convex.conflict import conflict_error
from optimization.engine.convex.explain import figure_of
from optimization.engine.convex.instance import HELD, Instance
from optimization.engine.convex.solution import FAILURE, solution_of
from optimization.engine.convex.soundness import check_solvable
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    SolverFailureError,
)
from optimization.engine.problem import Description, Problem, Progress, Solution
from optimization.engine.registry import SolveContext

TIME_LIMIT = 10.0
"""Seconds, unless ``parameters.time_limit`` says otherwise."""

LONGEST = 3600.0


def search_solution(instance: Instance, context: SolveContext, started: float) -> Solution:
    """The best portfolio with few enough, large enough positions, with its certified gap.

    Raises:
        InvalidProblemError: ``time_limit`` is no number of seconds.
        EngineError: See ``optimization.engine.errors``.
    """
    limit = context.parameters.get("time_limit", TIME_LIMIT)
    if not isinstance(limit, int | float) or not 0 < limit <= LONGEST:
        raise InvalidProblemError(
            f"time_limit is {limit!r}; it is a number of seconds up to {LONGEST:g}",
            ["parameters.time_limit"],
        )
    _check_count(instance)
    _check_sizes(instance)

    def report(state: SearchState) -> None:
        if state.best is None:
            return
        known = bool(np.isfinite(state.bound))
        context.on_progress(
            Progress(
                iteration=state.nodes,
                evaluations=state.nodes,
                best_value=figure_of(instance, state.best.certificate.value),
                bound=figure_of(instance, state.bound) if known else None,
                gap=state.gap if known else None,
                elapsed=state.elapsed,
                weights=state.best.weights,
            )
        )

    try:
        check_solvable(instance)
        state = branch_and_bound(instance, float(limit), report)
    except InfeasibleProblemError as error:
        if error.fields == ("constraints",):
            raise conflict_error(instance, error) from error
        raise
    except SolverFailureError as error:
        if error.fields:
            raise
        raise SolverFailureError(FAILURE, ["constraints", "objective"]) from error
    return _described(instance, state, started)


def _described(instance: Instance, state: SearchState, started: float) -> Solution:
    if state.best is None:
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    # The relaxation's own row, the count, comes after the problem's.
    certificate = state.best.certificate
    linear = replace(certificate.linear, rows=certificate.linear.rows[: len(instance.region.rows)])
    answer = replace(
        state.best,
        certificate=replace(certificate, linear=linear),
        violation=instance.violation_of_amounts(state.best.weights),
    )
    solution = solution_of(instance, answer, started)
    held = frozenset(
        symbol
        for symbol, weight in zip(instance.problem.symbols, state.best.weights, strict=True)
        if abs(weight) > HELD
    )
    finished = state.gap <= 1e-8
    return replace(
        solution,
        solver=f"branch and bound over {solution.solver}",
        optimality_gap=state.gap if np.isfinite(state.gap) else None,
        describe=partial(_describe_held, solution, held),
        diagnostics={"nodes": state.nodes, "stopped_by": "optimal" if finished else "time_limit"},
    )


def _describe_held(solution: Solution, held: frozenset[str]) -> Description:
    """Without the prices of assets that the search left out: those of its own zero bounds."""
    described = solution.description
    binding = tuple(item for item in described.binding if item.symbol in (None, *held))
    return replace(described, binding=binding)


def _check_count(instance: Instance) -> None:
    """Refuse too few assets to fill a budget, before any search."""
    constraints, region = instance.problem.constraints, instance.region
    most = constraints.max_assets
    if most is None:
        return
    forced = int(((region.lower > 0) | (region.upper < 0)).sum())
    if forced > most:
        raise InfeasibleProblemError(
            f"min_weight holds {forced} assets and max_assets is {most}; raise max_assets to"
            f" {forced}, or use min_position, which binds only the assets that are held",
            ["constraints.min_weight", "constraints.max_assets"],
        )
    if not constraints.sum_to_one:
        return
    largest = np.sort(region.upper)[::-1]
    if float(largest[:most].sum()) >= 1.0 - HELD:
        return
    enough = int(np.searchsorted(np.cumsum(largest), 1.0 - HELD)) + 1
    raise InfeasibleProblemError(
        f"{most} assets of at most {largest[0]:g} each cannot sum to 1; raise max_assets to"
        f" {enough} or max_weight to {1 / most:.6g}",
        ["constraints.max_assets", "constraints.max_weight"],
    )


def _check_sizes(instance: Instance) -> None:
    """Refuse positions of which no number fills the budget: three are too few and four too many.

    A search would have to try every choice of assets to find that out.
    """
    constraints, region = instance.problem.constraints, instance.region
    least = constraints.min_position
    if not least:
        return
    _check_forced_sizes(instance, least)
    if not constraints.sum_to_one or not region.is_long:
        return
    lower, upper = np.maximum(region.lower, least), region.upper
    forced = region.lower > 0
    free = ~forced & (upper >= least)
    most = min(constraints.max_assets or len(lower), int(forced.sum() + free.sum()))
    smallest = float(lower[forced].sum()) + np.append(0.0, np.sort(lower[free]).cumsum())
    largest = float(upper[forced].sum()) + np.append(0.0, np.sort(upper[free])[::-1].cumsum())
    counts = np.arange(int(forced.sum()), most + 1)
    smallest, largest = smallest[: len(counts)], largest[: len(counts)]
    if ((smallest <= 1.0 + HELD) & (largest >= 1.0 - HELD)).any():
        return
    fields = ["constraints.min_position", "constraints.max_weight"]
    enough = counts[largest >= 1.0 - HELD]
    few = counts[smallest <= 1.0 + HELD]
    mends = []
    if len(enough) and not forced.any():
        mends.append(f"lower min_position to {np.floor(1e6 / enough[0]) / 1e6:.6g}")
    alike = not constraints.asset_bounds and len(few) and few[-1] > 0
    if alike:
        mends.append(f"raise max_weight to {np.ceil(1e6 / few[-1]) / 1e6:.6g}")
    if constraints.max_assets is not None and most < int(forced.sum() + free.sum()):
        fields.append("constraints.max_assets")
    if constraints.asset_bounds:
        fields.append("constraints.asset_bounds")
    raise InfeasibleProblemError(
        f"no number of positions of at least {least:g} each can sum to 1 within their largest"
        f" weights; {' or '.join(mends) or 'lower min_position or raise max_weight'}",
        fields,
    )


def _check_forced_sizes(instance: Instance, least: float) -> None:
    """Refuse bounds that hold an asset, and hold it smaller than any position may be."""
    region = instance.region
    largest = np.where(region.lower > 0, region.upper, -region.lower)
    forced = (region.lower > 0) | (region.upper < 0)
    small = np.flatnonzero(forced & (largest < least - HELD))
    if not len(small):
        return
    asset = int(small[np.argmin(largest[small])])
    symbol = instance.problem.symbols[asset]
    raise InfeasibleProblemError(
        f"the bounds of {symbol} hold it at no more than {largest[asset]:.6g} and min_position is"
        f" {least:g}; lower min_position to {largest[asset]:.6g} or widen its bounds",
        ["constraints.min_position", *_bound_fields(instance.problem, symbol)],
    )


def _bound_fields(problem: Problem, symbol: str) -> list[str]:
    """The fields that bound an asset: its own, and what all share where it has none."""
    own = problem.constraints.asset_bounds.get(symbol)
    return [
        f"constraints.{side}"
        if own is None or getattr(own, side) is None
        else f"constraints.asset_bounds.{symbol}.{side}"
        for side in ("min_weight", "max_weight")
    ]

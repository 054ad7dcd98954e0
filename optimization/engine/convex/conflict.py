"""Why no portfolio satisfies a request, and the smallest change that would let one.

Every request field that limits the portfolio gets a slack variable. A linear programme over the
slacks finds the fields that conflict, a deletion filter keeps a smallest set of them, and one
programme for each says by how much it alone would have to give.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import highspy
import numpy as np

from optimization.engine.convex.certificate import Evidence, certify
from optimization.engine.convex.explain import YEAR, binding_constraints
from optimization.engine.convex.highs import IntArray, LinearProgramme, Rows, new_highs
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import Layout, polyhedron
from optimization.engine.convex.quadratic import QuadraticProgramme
from optimization.engine.convex.region import Region, Row
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray, Objective, Problem

GIVES = 1e-7
"""Slack that counts as more than rounding."""

MOST = 8
"""Limits up to which each is tried on its own, and which a message lists."""


@dataclass(frozen=True)
class Limit:
    """One request field as one side of one or more rows.

    Attributes:
        field: Path of the request field.
        mend: From the slack it needs to what a caller should do.
        columns: Assets whose own bounds it sets, or None for a limit on the portfolio.
        row: Number of its row among the region's, or None for bounds.
        is_low: Whether it limits from below.
    """

    field: str
    mend: Callable[[float], str]
    is_low: bool
    columns: IntArray | None = None
    row: int | None = None


def conflict_error(instance: Instance) -> InfeasibleProblemError:
    """The error that explains why an instance has no portfolio."""
    programme = _Elastic(instance.region, _limits(instance))
    conflicting = programme.smallest_conflict()
    if not conflicting:
        return _deviation_error(instance)
    mends = []
    for limit in conflicting[:MOST]:
        slack = programme.slack_alone(limit)
        if slack is not None:
            mends.append(limit.mend(slack * (1 + 1e-9)))
    return _error([limit.field for limit in conflicting], mends)


def _error(fields: Sequence[str], mends: Sequence[str]) -> InfeasibleProblemError:
    names = list(dict.fromkeys(fields))
    short = [name.removeprefix("constraints.") for name in names]
    if len(short) > MOST:
        short = [*short[:MOST], f"{len(short) - MOST} more"]
    listed = ", ".join(short[:-1]) + " and " + short[-1] if len(short) > 1 else short[0]
    advice = mends[0] if mends else "relax several of them"
    if len(mends) > 1:
        advice = f"any one of these would do: {'; '.join(mends)}"
    verb = "cannot hold together" if len(short) > 1 else "cannot hold"
    return InfeasibleProblemError(f"{listed} {verb}; {advice}", names)


def _deviation_error(instance: Instance) -> InfeasibleProblemError:
    """The polyhedron has portfolios, so a limit on a deviation is what none of them meets."""
    general = import_module("optimization.engine.convex.general")
    for name, limit, origin in instance.cones:
        least = general.least_deviation(instance, origin)
        if least > limit:
            mend = _raise(name.removeprefix("constraints."), limit * YEAR)
            return _error([name, *_holding(instance, origin)], [mend((least - limit) * YEAR)])
    return _error([name for name, _, _ in instance.cones] or ["constraints"], [])


def _holding(instance: Instance, origin: FloatArray) -> list[str]:
    """The fields that keep the portfolio of the least deviation from a smaller one."""
    if not instance.region.is_linear or bool(origin.any()):
        return []
    calm = replace(instance.problem, objective=Objective.MINIMIZE_VARIANCE)
    calmest = replace(instance, problem=calm)
    try:
        programme = QuadraticProgramme(instance.covariance, instance.region)
        face = programme.solve(np.zeros(len(origin)))
    except SolverFailureError:
        return []
    certificate = certify(calmest, face.weights, Evidence())
    found = binding_constraints(calmest, face.weights, certificate, Evidence())
    return [item.name for item in found]


def _limits(instance: Instance) -> list[Limit]:
    problem, region = instance.problem, instance.region
    limits = [*_bound_limits(problem, region)]
    if problem.constraints.sum_to_one:
        limits.append(
            Limit(
                "constraints.sum_to_one",
                lambda slack: f"set sum_to_one to false and hold {slack:.4g} as cash",
                is_low=True,
                row=0,
            )
        )
    for number, row in enumerate(region.rows, start=1):
        limits += _row_limits(row, number)
    layout = Layout.of(region)
    for number, name, value in (
        (layout.turnover_row, "max_turnover", region.turnover),
        (layout.leverage_row, "max_leverage", region.leverage),
    ):
        if number:
            limits.append(
                Limit(f"constraints.{name}", _raise(name, value), is_low=False, row=number)
            )
    return limits


def _raise(name: str, value: float) -> Callable[[float], str]:
    return lambda slack: f"raise {name} to {value + slack:.6g}"


def _lower(name: str, value: float) -> Callable[[float], str]:
    return lambda slack: f"lower {name} to {value - slack:.6g}"


def _allow_short(slack: float) -> str:
    return f"set long_only to false with a min_weight of {-slack:.6g}"


def _bound_limits(problem: Problem, region: Region) -> list[Limit]:
    constraints, limits = problem.constraints, []
    own = {
        side: [
            symbol in constraints.asset_bounds
            and getattr(constraints.asset_bounds[symbol], side) is not None
            for symbol in problem.symbols
        ]
        for side in ("min_weight", "max_weight")
    }
    shared_low = np.flatnonzero(~np.array(own["min_weight"]))
    shared_high = np.flatnonzero(~np.array(own["max_weight"]))
    if len(shared_low):
        implied = constraints.min_weight is None and constraints.long_only
        field = "constraints.long_only" if implied else "constraints.min_weight"
        mend = _allow_short if implied else _lower("min_weight", constraints.lower)
        limits.append(Limit(field, mend, is_low=True, columns=shared_low))
    if len(shared_high):
        mend = _raise("max_weight", constraints.upper)
        limits.append(Limit("constraints.max_weight", mend, is_low=False, columns=shared_high))
    for asset, symbol in enumerate(problem.symbols):
        path = f"constraints.asset_bounds.{symbol}"
        for side, verb, bound in (
            ("min_weight", _lower, region.lower[asset]),
            ("max_weight", _raise, region.upper[asset]),
        ):
            if own[side][asset]:
                limits.append(
                    Limit(
                        f"{path}.{side}",
                        verb(f"{side} of {symbol}", float(bound)),
                        is_low=side == "min_weight",
                        columns=np.array([asset]),
                    )
                )
    return limits


def _row_limits(row: Row, number: int) -> list[Limit]:
    limits = []
    if np.isfinite(row.low):
        name = (
            row.field.removeprefix("constraints.")
            if row.label.startswith("the ")
            else (f"min_weight of {row.label}")
        )
        mend = _scaled(_lower(name, row.low / row.unit), row.unit)
        limits.append(Limit(row.field, mend, is_low=True, row=number))
    if np.isfinite(row.high):
        mend = _scaled(_raise(f"max_weight of {row.label}", row.high / row.unit), row.unit)
        limits.append(Limit(row.field, mend, is_low=False, row=number))
    return limits


def _scaled(mend: Callable[[float], str], unit: float) -> Callable[[float], str]:
    return lambda slack: mend(slack / unit)


class _Elastic:
    """The constraints as rows with one slack column for each limit."""

    def __init__(self, region: Region, limits: Sequence[Limit]) -> None:
        self.limits = list(limits)
        layout = Layout.of(region)
        self.first = layout.columns
        base = polyhedron(region, layout)
        rows = Rows(layout.columns + len(self.limits))
        by_row: dict[int, list[int]] = {}
        for position, limit in enumerate(self.limits):
            if limit.row is not None:
                by_row.setdefault(limit.row, []).append(position)
        for number, (index, value, low, high) in enumerate(base.entries()):
            slacks = by_row.get(number, [])
            columns = np.array([self.first + position for position in slacks], dtype=np.int_)
            signs = np.array([1.0 if self.limits[p].is_low else -1.0 for p in slacks])
            scale = base.scales[number]
            if len(slacks) == 2:  # one slack must not push against the other side of the row
                rows.add(
                    np.append(index, columns[0]), np.append(value, signs[0] / scale), low, np.inf
                )
                rows.add(
                    np.append(index, columns[1]), np.append(value, signs[1] / scale), -np.inf, high
                )
            elif slacks and low > -np.inf and high < np.inf and low == high and number == 0:
                rows.add(np.append(index, columns), np.append(value, signs / scale), low, np.inf)
                rows.add(index, value, -np.inf, high)
            else:
                rows.add(
                    np.concatenate([index, columns]),
                    np.concatenate([value, signs / scale]),
                    low,
                    high,
                )
        for position, limit in enumerate(self.limits):
            for asset in limit.columns if limit.columns is not None else ():
                index = np.array([asset, self.first + position])
                if limit.is_low:
                    rows.add(index, np.array([1.0, 1.0]), float(region.lower[asset]), np.inf)
                else:
                    rows.add(index, np.array([1.0, -1.0]), -np.inf, float(region.upper[asset]))
        self.highs = self._load(rows, region.n_assets)

    def _load(self, rows: Rows, n: int) -> Any:
        count = self.first + len(self.limits)
        lower = np.concatenate([np.full(n, -np.inf), np.zeros(count - n)])
        upper = np.full(count, np.inf)
        low, high = rows.limits
        programme = LinearProgramme(np.zeros(count), lower, upper, low, high, rows.matrix())
        highs = new_highs()
        programme.pass_to(highs)
        return highs

    def _solve(self, giving: Sequence[int]) -> tuple[FloatArray, FloatArray] | None:
        """Least total slack when some limits give, and its duals; None if that is not enough."""
        for position in range(len(self.limits)):
            gives = position in giving
            column = self.first + position
            self.highs.changeColBounds(column, 0.0, np.inf if gives else 0.0)
            self.highs.changeColCost(column, 1.0 if gives else 0.0)
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self.highs.getSolution()
        return (
            np.array(solution.col_value)[self.first :],
            np.array(solution.col_dual)[self.first :],
        )

    def smallest_conflict(self) -> list[Limit]:
        """Limits that cannot hold together although any fewer of them could."""
        everyone = range(len(self.limits))
        solved = self._solve(everyone)
        if solved is None or float(solved[0].max(initial=0.0)) <= GIVES:
            return []
        # A limit without a multiplier has no part in the proof that the others conflict.
        kept = [position for position in everyone if solved[1][position] < 1.0 - GIVES]
        for position in tuple(kept) if len(kept) <= MOST else ():
            fewer = [other for other in kept if other != position]
            if self._solve([other for other in everyone if other not in fewer]) is None:
                kept = fewer
        return [self.limits[position] for position in kept]

    def slack_alone(self, limit: Limit) -> float | None:
        """By how much one limit alone has to give, or None if that is not enough."""
        position = self.limits.index(limit)
        solved = self._solve([position])
        return None if solved is None else float(solved[0][position])

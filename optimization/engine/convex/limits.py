"""The request fields that limit a portfolio, each with what would mend it, and the error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.highs import IntArray
from optimization.engine.convex.lifting import Lifting
from optimization.engine.convex.region import Region, Row
from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.problem import Problem

ROUNDED = 1e-8
"""A bound this small beside the slack that it gives is zero."""

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


def error_of(fields: Sequence[str], mends: Sequence[str]) -> InfeasibleProblemError:
    """The error that names fields in conflict, and what to change in any one of them."""
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


def limits_of(problem: Problem, region: Region) -> list[Limit]:
    """Every side of every request field that limits the weights of a region."""
    limits = _bound_limits(problem, region)
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
    lifting = Lifting(region)
    for number, name, value in (
        (lifting.turnover_row, "max_turnover", region.turnover),
        (lifting.leverage_row, "max_leverage", region.leverage),
    ):
        if number:
            limits.append(
                Limit(f"constraints.{name}", raise_to(name, value), is_low=False, row=number)
            )
    return limits


def raise_to(name: str, value: float) -> Callable[[float], str]:
    """What to say of a largest value, from the slack it needs."""
    return lambda slack: f"raise {name} to {value + slack:.6g}"


def _lower(name: str, value: float, before_short: str = "") -> Callable[[float], str]:
    """What to say of a smallest value, and before it if that has to be less than nothing."""

    def mend(slack: float) -> str:
        left = value - slack
        # A long-only portfolio has no use for a smallest weight that is rounded below zero.
        left = 0.0 if abs(left) <= ROUNDED * slack else left
        return f"{before_short if left < 0 else ''}lower {name} to {left:.6g}"

    return mend


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
    first = "set long_only to false and " if constraints.long_only else ""
    # A portfolio that is not long only lets every weight left open fall to -max_weight.
    if first and constraints.min_weight is None:
        first = "set long_only to false with a min_weight of 0 and "
    shared_low = np.flatnonzero(~np.array(own["min_weight"]))
    shared_high = np.flatnonzero(~np.array(own["max_weight"]))
    if len(shared_low):
        implied = constraints.min_weight is None and constraints.long_only
        field = "constraints.long_only" if implied else "constraints.min_weight"
        mend = _allow_short if implied else _lower("min_weight", constraints.lower, first)
        limits.append(Limit(field, mend, is_low=True, columns=shared_low))
    if len(shared_high):
        mend = raise_to("max_weight", constraints.upper)
        limits.append(Limit("constraints.max_weight", mend, is_low=False, columns=shared_high))
    for asset, symbol in enumerate(problem.symbols):
        path = f"constraints.asset_bounds.{symbol}"
        columns = np.array([asset])
        if own["min_weight"][asset]:
            mend = _lower(f"min_weight of {symbol}", float(region.lower[asset]), first)
            limits.append(Limit(f"{path}.min_weight", mend, is_low=True, columns=columns))
        if own["max_weight"][asset]:
            mend = raise_to(f"max_weight of {symbol}", float(region.upper[asset]))
            limits.append(Limit(f"{path}.max_weight", mend, is_low=False, columns=columns))
    return limits


def _row_limits(row: Row, number: int) -> list[Limit]:
    limits = []
    if np.isfinite(row.low):
        name = (
            row.field.removeprefix("constraints.")
            if row.label.startswith("the ")
            else f"min_weight of {row.label}"
        )
        mend = _scaled(_lower(name, row.low / row.unit), row.unit)
        limits.append(Limit(row.field, mend, is_low=True, row=number))
    if np.isfinite(row.high):
        mend = _scaled(raise_to(f"max_weight of {row.label}", row.high / row.unit), row.unit)
        limits.append(Limit(row.field, mend, is_low=False, row=number))
    return limits


def _scaled(mend: Callable[[float], str], unit: float) -> Callable[[float], str]:
    return lambda slack: mend(slack / unit)

"""Losses over scenarios: a linear programme over the periods and assets that matter.

Such a loss is the largest −q'(R·w) over a set of shares q of the periods. In most periods any good
portfolio's outcome lies so far from where its share turns that the share is known beforehand; only
the others are left open, and only some assets are held. Both are generated as needed, and the
answer is the optimum over all of them.
"""

from dataclasses import dataclass

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.loss import Loss
from optimization.engine.convex.quadratic import IntArray, Mask
from optimization.engine.convex.region import Region
from optimization.engine.convex.scenario_programme import (
    ScenarioOutcome,
    ScenarioProgramme,
    solve_scenarios,
)
from optimization.engine.convex.smoothing import smoothed
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

OPEN, OPEN_PER_ASSET = 60, 2
"""Periods left open at first: those whose outcomes are the nearest to where their shares turn."""

AFTER_OPTIMUM = 0.6
"""The share of them that does where the last problem's optimum tells which they are."""

FIRST_ASSETS, JOINING_ASSETS = 40, 40
WHOLE_ASSETS = 60
"""Up to so many assets all are chosen from the start."""

ROUNDS = 100
EXACT = 1e-12


@dataclass(frozen=True)
class ScenarioStart:
    """Where a solution begins.

    Attributes:
        weights: A portfolio near the optimum, shape (n,).
        assets: Those that it may need, shape (n,), or None to have them guessed.
    """

    weights: FloatArray
    assets: Mask | None = None


@dataclass(frozen=True)
class ScenarioOptimum:
    """The portfolio of the least loss.

    Attributes:
        weights: Shape (n,).
        value: Its loss.
        share: Of the periods, at the saddle point, shape (T,).
        for_later: Where the next solution of nearly the same problem begins.
    """

    weights: FloatArray
    value: float
    share: FloatArray
    for_later: ScenarioStart


def minimise_loss(
    instance: Instance, loss: Loss, start: ScenarioStart | None = None
) -> ScenarioOptimum:
    """Minimise a loss over a linear region.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    region, share_open = instance.region, AFTER_OPTIMUM
    if start is None:
        start, share_open = ScenarioStart(smoothed(instance, loss)), 1.0
    outcomes = loss.outcomes @ start.weights
    fixed = _sides(loss, outcomes)
    if start.assets is not None and start.assets.any():
        assets = start.assets.copy()
    else:  # a guess, or a portfolio of nothing but the smallest weights
        assets = _first_assets(region, -(loss.outcomes.T @ fixed))
    is_open = _near_turn(
        loss, outcomes, int(share_open * (OPEN + OPEN_PER_ASSET * int(assets.sum())))
    )
    for _ in range(ROUNDS):
        chosen, days = np.flatnonzero(assets), np.flatnonzero(is_open)
        inner, share = _solve_over(instance, loss, np.where(is_open, 0.0, fixed), (days, chosen))
        outcomes = loss.outcomes @ inner.weights
        value, seen = loss.value(outcomes), -float(share @ outcomes)
        done = value - seen <= EXACT * max(abs(value), instance.return_scale)
        if not done:
            turned = ~is_open & (_sides(loss, outcomes) != fixed)
            done = not turned.any()  # what is left is rounding
            is_open |= turned | _near_turn(loss, outcomes, OPEN)
        if len(chosen) < region.n_assets:
            reduced = -(loss.outcomes.T @ share) - inner.multipliers @ region.limits.matrix
            reduced[chosen] = 0.0
            joining = np.flatnonzero(reduced < -1e-10 * instance.return_scale)
            if len(joining):
                done = False
                assets[joining[np.argsort(reduced[joining])[:JOINING_ASSETS]]] = True
        if done:
            needed = (inner.weights > region.lower) | (region.n_assets <= WHOLE_ASSETS)
            later = ScenarioStart(inner.weights, needed)
            return ScenarioOptimum(inner.weights, value, share, later)
    raise SolverFailureError("scenarios were generated without end")


def _first_assets(region: Region, slope: FloatArray) -> Mask:
    """The assets that add least to the loss, and enough of them to fill the budget."""
    if region.n_assets <= WHOLE_ASSETS or not region.is_long:
        return np.ones(region.n_assets, dtype=np.bool_)
    assets = minimise_linear(slope, region).weights > region.lower
    assets[np.argsort(slope)[:FIRST_ASSETS]] = True
    return assets


def _sides(loss: Loss, outcomes: FloatArray) -> FloatArray:
    """The share of each period that is not open."""
    return np.where(outcomes < loss.turn(outcomes), loss.most, loss.least)


def _near_turn(loss: Loss, outcomes: FloatArray, count: int) -> Mask:
    """The periods nearest to the turn: at least so many, and enough to fill the shares' total."""
    turn = loss.turn(outcomes)
    if loss.total is not None:
        worse = int(np.count_nonzero(outcomes < turn))
        count = max(count, int(loss.total / loss.most) + 2 - worse)
    if count >= len(outcomes):
        return np.ones(len(outcomes), dtype=np.bool_)
    near = np.zeros(len(outcomes), dtype=np.bool_)
    near[np.abs(outcomes - turn).argpartition(count)[:count]] = True
    return near


def _solve_over(
    instance: Instance, loss: Loss, fixed: FloatArray, sets: tuple[IntArray, IntArray]
) -> tuple[ScenarioOutcome, FloatArray]:
    """The optimum over the open periods and chosen assets, with the shares of all periods."""
    (days, chosen), unit, region = sets, instance.return_scale, instance.region
    outcomes = loss.outcomes
    at_base = outcomes[days] @ region.lower if region.lower.any() else np.zeros(len(days))
    settled = -(outcomes.T @ fixed)
    programme = ScenarioProgramme(
        outcomes=outcomes[days[:, np.newaxis], chosen] / unit,
        at_base=at_base / unit,
        linear=settled[chosen] / unit,
        least=loss.least,
        most=loss.most,
        total=None if loss.total is None else loss.total - float(fixed.sum()),
    )
    inner = solve_scenarios(programme, region, chosen)
    share = fixed.copy()
    share[days] = inner.share
    scaled = ScenarioOutcome(inner.weights, inner.share, inner.multipliers * unit)
    return scaled, share

"""Minimum CVaR: the dual linear programme, over the periods and assets that matter.

CVaR is the largest expected loss over the probabilities q with 0 ≤ q ≤ 1/(tail·T). The dual has one
row per asset and one column per period, and its row multipliers are the weights. Few periods fall
into any good portfolio's tail and few assets into its holdings: both are generated as needed, and
the answer is the optimum over all of them.
"""

from dataclasses import dataclass, replace

import highspy
import numpy as np

from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.highs import LinearProgramme, SparseMatrix, check_optimal, run_highs
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import IntArray, Mask, QuadraticProgramme
from optimization.engine.convex.tail import tail_weights
from optimization.engine.covariance import Covariance, DenseCovariance
from optimization.engine.errors import SolverFailureError
from optimization.engine.moments import Sums, sample_covariance
from optimization.engine.problem import FloatArray

WHOLE_ASSETS, WHOLE_PERIODS = 60, 400
"""Up to these sizes every asset, or every period, is in from the start."""

FIRST_ASSETS, JOINING_ASSETS = 40, 40
SPARE_PERIODS = 60
ROUNDS = 100
EXACT = 1e-12
DAMPING = 0.05
"""Ridge of the first guess's covariance, in mean squares times assets per period."""


@dataclass(frozen=True)
class TailSets:
    """What a solution needed, to begin the next one with.

    Attributes:
        periods: Shape (T,).
        assets: Shape (n,).
    """

    periods: Mask
    assets: Mask


@dataclass(frozen=True)
class TailOptimum:
    """The portfolio of the least CVaR, its value, its worst case, and what was needed."""

    weights: FloatArray
    value: float
    evidence: Evidence
    sets: TailSets


@dataclass(frozen=True)
class _Inner:
    """The optimum over some periods and assets."""

    weights: FloatArray
    share: FloatArray
    multipliers: FloatArray


def minimise_cvar(instance: Instance, start: TailSets | None = None) -> TailOptimum:
    """Minimise the mean loss of the worst ``tail`` share of periods over a linear region.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    excess, region = instance.excess, instance.region
    sets = start or _first_sets(instance)
    periods, assets = sets.periods.copy(), sets.assets.copy()
    matrix = region.limits.matrix
    for _ in range(ROUNDS):
        chosen, days = np.flatnonzero(assets), np.flatnonzero(periods)
        inner = _solve_over(instance, matrix, days, chosen)
        outcomes = excess @ inner.weights
        tail = tail_weights(outcomes, instance.tail)
        value, seen = -float(tail @ outcomes), -float(inner.share @ outcomes)
        done = value - seen <= EXACT * max(abs(value), instance.return_scale)
        if not done:
            known = int(periods.sum())
            periods |= _near_tail(outcomes, instance.tail)
            done = int(periods.sum()) == known  # what is left is rounding
        if len(chosen) < region.n_assets:
            reduced = -(excess.T @ inner.share) - inner.multipliers @ matrix
            reduced[chosen] = 0.0
            joining = np.flatnonzero(reduced < -1e-10 * instance.return_scale)
            if len(joining):
                done = False
                assets[joining[np.argsort(reduced[joining])[:JOINING_ASSETS]]] = True
        if done:
            held = (inner.weights > region.lower) | (region.n_assets <= WHOLE_ASSETS)
            needed = periods
            if len(outcomes) > WHOLE_PERIODS:
                needed = _near_tail(outcomes, instance.tail, 2.0) | (inner.share > 0)
            return TailOptimum(inner.weights, value, Evidence(inner.share), TailSets(needed, held))
    raise SolverFailureError("scenarios were generated without end")


def _near_tail(outcomes: FloatArray, tail: float, reach: float = 1.2) -> Mask:
    """The periods somewhat beyond the tail of a portfolio."""
    last = min(len(outcomes) - 1, int(reach * tail * len(outcomes)) + 2)
    return np.asarray(outcomes <= np.partition(outcomes, last)[last])


def _first_sets(instance: Instance) -> TailSets:
    """The tail of the minimum-variance portfolio, and the assets that lose least in it."""
    excess, region = instance.excess, instance.region
    count, n = excess.shape
    periods, assets = np.ones(count, dtype=np.bool_), np.ones(n, dtype=np.bool_)
    if count <= WHOLE_PERIODS and n <= WHOLE_ASSETS:
        return TailSets(periods, assets)
    programme = QuadraticProgramme(_damped_covariance(instance), region)
    outcomes = excess @ programme.solve(np.zeros(n)).weights
    if count > WHOLE_PERIODS:
        size = min(count, int(2 * instance.tail * count) + SPARE_PERIODS)
        periods = np.asarray(outcomes <= np.partition(outcomes, size - 1)[size - 1])
    if n > WHOLE_ASSETS and bool((region.lower >= 0).all()):
        loss = -(excess.T @ tail_weights(outcomes, instance.tail))
        assets = minimise_linear(loss, region).weights > region.lower
        assets[np.argsort(loss)[:FIRST_ASSETS]] = True
    return TailSets(periods, assets)


def _damped_covariance(instance: Instance) -> Covariance:
    """Σ for a guess: without shrinkage, with what keeps it regular when periods are few."""
    count, n = instance.excess.shape
    ridge = DAMPING * n / count * instance.return_scale**2
    if instance.covariance.is_small:
        # The one in use, which whoever describes the answer asks for anyway.
        matrix = instance.covariance.dense + ridge * np.eye(n)
        return DenseCovariance(np.zeros((0, n)), matrix=matrix, proven=True)
    return replace(sample_covariance(instance.excess, Sums(instance.mean)), ridge=ridge)


def _solve_over(instance: Instance, matrix: FloatArray, days: IntArray, chosen: IntArray) -> _Inner:
    """The dual programme: columns are periods, rows' multipliers and upper bounds."""
    region, unit = instance.region, instance.return_scale
    count = len(instance.excess)
    block = instance.excess[days[:, np.newaxis], chosen] / unit
    inside, base = matrix[:, chosen], region.lower
    held = matrix @ base
    low, high = region.limits.low - held, region.limits.high - held
    least, most = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high) & (low < high))
    equal = low[least] == high[least]
    k, m = len(chosen), len(days)
    columns = np.zeros((m + len(least) + len(most), k + 1))
    columns[:m, :k], columns[:m, k] = block, 1.0
    columns[m : m + len(least), :k] = inside[least]
    columns[m + len(least) :, :k] = -inside[most]
    cost = np.concatenate(
        [
            (instance.excess[days] @ base) / unit,
            -low[least],
            high[most],
            (region.upper - base)[chosen],
        ]
    )
    free = np.concatenate([np.zeros(m), np.where(equal, -np.inf, 0.0), np.zeros(len(most) + k)])
    cap = np.full(len(cost), np.inf)
    cap[:m] = min(1.0, 1.0 / (instance.tail * count))
    x, duals = _solve(columns, cost, free, cap)
    weights = base.copy()
    weights[chosen] = np.clip(base[chosen] - duals[:k], base[chosen], region.upper[chosen])
    share = np.zeros(count)
    share[days] = x[:m]
    multipliers = np.zeros(len(matrix))
    multipliers[least] = x[m : m + len(least)]
    multipliers[most] -= x[m + len(least) : len(columns)]
    return _Inner(weights, share, multipliers * unit)


def _solve(
    columns: FloatArray, cost: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Minimise cost'x with columns'x − s ≤ 0 per asset and the last row 1: x with s, row duals.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    count, k = len(columns), columns.shape[1] - 1
    dense, assets = count * (k + 1), np.arange(k, dtype=np.int32)
    low, high = np.full(k + 1, -np.inf), np.zeros(k + 1)
    low[k] = high[k] = 1.0
    starts = np.arange(0, dense + 1, k + 1, dtype=np.int32)
    rows = np.tile(np.arange(k + 1, dtype=np.int32), count)
    matrix = SparseMatrix(
        highspy.MatrixFormat.kColwise,
        np.concatenate([starts, dense + 1 + assets]),
        np.concatenate([rows, assets]),
        np.concatenate([columns.ravel(), np.full(k, -1.0)]),
    )
    highs = run_highs(LinearProgramme(cost, lower, upper, low, high, matrix), scaled=False)
    check_optimal(highs)
    solution = highs.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual)

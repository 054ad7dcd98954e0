"""The dual linear programme of a loss over scenarios: a row per asset, a column per open period.

Its row multipliers are the weights, and its columns' values are what certifies them.
"""

from dataclasses import dataclass

import highspy
import numpy as np

from optimization.engine.convex.highs import LinearProgramme, SparseMatrix, check_optimal, run_highs
from optimization.engine.convex.quadratic import IntArray
from optimization.engine.convex.region import Region
from optimization.engine.problem import FloatArray


@dataclass(frozen=True)
class ScenarioProgramme:
    """Minimise linear'w + max −q'(outcomes·w) over the shares q of some periods, and a region.

    Attributes:
        outcomes: Of the open periods and the chosen assets, shape (m, k).
        at_base: Outcomes of the region's smallest weights in those periods, shape (m,).
        linear: Shape (k,).
        least: Smallest share of a period.
        most: Largest share of a period.
        total: What the shares add up to, or None if they need not.
    """

    outcomes: FloatArray
    at_base: FloatArray
    linear: FloatArray
    least: float
    most: float
    total: float | None


@dataclass(frozen=True)
class ScenarioOutcome:
    """The optimum over some periods and assets.

    Attributes:
        weights: Of all assets, shape (n,).
        share: Of the open periods, shape (m,).
        multipliers: Of the region's rows, shape (r,).
    """

    weights: FloatArray
    share: FloatArray
    multipliers: FloatArray


def solve_scenarios(
    programme: ScenarioProgramme, region: Region, chosen: IntArray
) -> ScenarioOutcome:
    """Solve over the chosen assets, the others at their smallest weights.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    limits, base = region.limits, region.lower
    inside, held = limits.matrix[:, chosen], limits.matrix @ base
    low, high = limits.low - held, limits.high - held
    bounded = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high) & (low < high))
    least, most = bounded
    m, k = programme.outcomes.shape
    columns = np.concatenate([programme.outcomes, inside[least], -inside[most]])
    room = (region.upper - base)[chosen]
    cost = np.concatenate([programme.at_base, -low[least], high[most], room])
    smallest, largest = np.zeros(len(cost)), np.full(len(cost), np.inf)
    smallest[:m], largest[:m] = programme.least, programme.most
    smallest[m : m + len(least)][low[least] == high[least]] = -np.inf
    x, duals = _solve(columns, cost, (smallest, largest), programme)
    weights = base.copy()
    weights[chosen] = np.clip(base[chosen] - duals[:k], base[chosen], region.upper[chosen])
    multipliers = np.zeros(len(held))
    multipliers[least] = x[m : m + len(least)]
    multipliers[most] -= x[m + len(least) : len(columns)]
    return ScenarioOutcome(weights, x[:m], multipliers)


def _solve(
    columns: FloatArray,
    cost: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    programme: ScenarioProgramme,
) -> tuple[FloatArray, FloatArray]:
    """Minimise cost'(x, s) with columns'x − s ≤ linear per asset, and the shares' total if any.

    Raises:
        SolverFailureError: HiGHS stopped without an answer.
    """
    (count, k), total = columns.shape, programme.total
    low, high = np.full(k, -np.inf), programme.linear
    if total is not None:
        counted = np.zeros((count, 1))
        counted[: len(programme.outcomes)] = 1.0
        columns = np.hstack([columns, counted])
        low, high = np.append(low, total), np.append(high, total)
    rows, assets = columns.shape[1], np.arange(k, dtype=np.int32)
    starts = np.arange(0, columns.size + 1, rows, dtype=np.int32)
    matrix = SparseMatrix(
        highspy.MatrixFormat.kColwise,
        np.concatenate([starts, columns.size + 1 + assets]),
        np.concatenate([np.tile(np.arange(rows, dtype=np.int32), count), assets]),
        np.concatenate([columns.ravel(), np.full(k, -1.0)]),
    )
    highs = run_highs(LinearProgramme(cost, *bounds, low, high, matrix), scaled=False)
    check_optimal(highs)
    solution = highs.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual)

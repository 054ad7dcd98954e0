"""The exact optimum of Omega and Calmar: what a search for them is measured against.

Both are a mean outcome over a risk of the outcomes. Omega's, the mean loss, is convex. Calmar's,
the largest fall of compounded wealth, is 1 − exp(−g) of the largest fall g of the logarithm of
wealth, which is convex; between two values of g it lies above the line through both, so a few such
lines bound Calmar as closely as wanted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from optimization.engine.errors import NoExcessReturnError, SolverFailureError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.heuristics.cutting_planes import (
    CuttingPlanes,
    Line,
    Outcomes,
    Tangent,
    Vertex,
)
from optimization.engine.measures import trading_costs
from optimization.engine.problem import FloatArray, Objective, Problem

SETTLED = 1e-7
"""Relative distance of the best Calmar ratio found to the bound that is close enough."""

LINES = 60
"""Most pieces that are split; the bound stands even where they do not suffice."""

DEEPEST = 40.0
"""A fall of log wealth that takes everything, as far as doubles can tell."""


@dataclass(frozen=True, slots=True)
class ExactRatio:
    """The portfolio of the greatest ratio.

    Attributes:
        weights: Shape (n,).
        bound: No portfolio costs less, per period.
    """

    weights: FloatArray
    bound: float


def exact_omega(problem: Problem, feasible: FeasibleSet, start: FloatArray) -> ExactRatio:
    """The greatest Omega ratio: 1 + mean excess over mean loss.

    Args:
        problem: Data, risk-free rate and trading costs.
        feasible: Which portfolios there are.
        start: One of them, shape (n,).

    Raises:
        NoExcessReturnError: No portfolio earns more than the risk-free rate.
        UnboundedProblemError: One does without ever falling short of it.
        SolverFailureError: HiGHS stopped without an answer.
    """
    outcomes = Outcomes.of(
        problem.returns - problem.period_risk_free_rate, 0.0, *trading_costs(problem)
    )
    vertex = CuttingPlanes(outcomes, _mean_loss, feasible, start).greatest(Line())
    if vertex is None:
        raise NoExcessReturnError("no portfolio earns more than the risk-free rate", ["objective"])
    return ExactRatio(vertex.weights, -1.0 - vertex.bound)


def exact_calmar(problem: Problem, feasible: FeasibleSet, start: FloatArray) -> ExactRatio:
    """The greatest Calmar ratio per period: mean return over the largest fall of wealth.

    The piece of falls whose line allows the greatest ratio is split at that portfolio's fall, until
    none allows more than the best ratio found.

    Raises:
        NoExcessReturnError: No portfolio has a positive mean return.
        UnboundedProblemError: One does without ever falling.
        SolverFailureError: HiGHS stopped without an answer, or a portfolio may lose everything.
    """
    risk_free = problem.period_risk_free_rate
    outcomes = Outcomes.of(problem.returns - risk_free, risk_free, *trading_costs(problem))
    planes = CuttingPlanes(outcomes, _largest_log_fall, feasible, start)
    best = planes.greatest(Line())
    richest = planes.greatest(Line(offset=1.0, slope=0.0))
    if best is None or richest is None:
        raise NoExcessReturnError("no portfolio has a positive mean return", ["objective"])
    ratio = _calmar(best)
    # Portfolios that fall further than this have a lower ratio even if they gain the most.
    high = _log_fall(richest.bound / ratio)
    pieces = [_Piece.of(Line(low=0.0, high=high), best.risk, np.inf)]
    for _ in range(LINES):
        if not pieces or pieces[0].bound <= ratio * (1.0 + SETTLED):
            break
        low, split, high = heappop(pieces).ends
        for line in (_chord(low, split), _chord(split, high)):
            vertex = planes.greatest(line, worth=ratio)
            if vertex is None:
                continue
            if _calmar(vertex) > ratio:
                best, ratio = vertex, _calmar(vertex)
            heappush(pieces, _Piece.of(line, vertex.risk, vertex.bound))
    return ExactRatio(best.weights, -max([ratio, *(piece.bound for piece in pieces)]))


class _Piece(NamedTuple):
    """Log falls between two ends; the piece of the greatest bound comes first.

    Attributes:
        cost: Minus the greatest ratio that any portfolio of these falls may have.
        ends: The lowest fall, where to split, and the highest.
    """

    cost: float
    ends: tuple[float, float, float]

    @classmethod
    def of(cls, line: Line, risk: float, bound: float) -> "_Piece":
        """Between a line's limits, split at the risk if that leaves something on both sides."""
        margin = 1e-3 * (line.high - line.low)
        inside = line.low + margin < risk < line.high - margin
        split = risk if inside else 0.5 * (line.low + line.high)
        return cls(-bound, (line.low, split, line.high))

    @property
    def bound(self) -> float:
        """The greatest ratio that any portfolio of these falls may have."""
        return -self.cost


EXACT_RATIOS: Mapping[Objective, Callable[[Problem, FeasibleSet, FloatArray], ExactRatio]] = {
    Objective.MAXIMIZE_OMEGA: exact_omega,
    Objective.MAXIMIZE_CALMAR: exact_calmar,
}


def _mean_loss(outcomes: FloatArray) -> Tangent:
    slope = np.where(outcomes < 0, -1.0 / len(outcomes), 0.0)
    return float(slope @ outcomes), slope, 0.0


def _largest_log_fall(outcomes: FloatArray) -> Tangent:
    """Largest fall of log wealth from its running peak, the start being one."""
    if outcomes.min() <= -1.0:
        raise SolverFailureError("a portfolio may lose more than everything in a period")
    wealth = np.concatenate([[0.0], np.log1p(outcomes).cumsum()])
    end = int((np.maximum.accumulate(wealth) - wealth).argmax())
    peak = int(wealth[: end + 1].argmax())
    fall, slope = float(wealth[peak] - wealth[end]), np.zeros(len(outcomes))
    slope[peak:end] = -1.0 / (1.0 + outcomes[peak:end])
    return fall, slope, fall - float(slope @ outcomes)


def _fall(log_fall: float) -> float:
    """Largest fall of wealth as a share of its peak."""
    return -float(np.expm1(-log_fall))


def _log_fall(fall: float) -> float:
    """The fall of log wealth that takes this share of the peak, at most ``DEEPEST``."""
    return min(-float(np.log1p(-fall)), DEEPEST) if fall < 1.0 else DEEPEST


def _calmar(vertex: Vertex) -> float:
    return vertex.gain / max(_fall(vertex.risk), np.finfo(np.float64).tiny)


def _chord(low: float, high: float) -> Line:
    """The line through the fall at two log falls, below it in between."""
    slope = (_fall(high) - _fall(low)) / (high - low)
    return Line(offset=_fall(low) - slope * low, slope=slope, low=low, high=high)

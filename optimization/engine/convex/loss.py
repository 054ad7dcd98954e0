"""Losses over scenarios: the largest −q'(outcomes of a portfolio) over shares q of the periods."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from optimization.engine.convex.tail import tail_weights
from optimization.engine.measures import whole_periods
from optimization.engine.problem import FloatArray


class Loss(Protocol):
    """What a loss makes of a portfolio's outcomes."""

    @property
    def outcomes(self) -> FloatArray:
        """Outcome of each asset in each period, shape (T, n)."""

    @property
    def least(self) -> float:
        """Smallest share of a period."""

    @property
    def most(self) -> float:
        """Largest share of a period."""

    @property
    def total(self) -> float | None:
        """What the shares add up to, or None if they need not."""

    @property
    def widths(self) -> tuple[float, ...]:
        """How far from its turn a share is rounded off, step by step, on the way to the optimum.

        In root mean square outcomes.
        """

    def value(self, outcomes: FloatArray, /) -> float:
        """The loss of a portfolio with these outcomes, shape (T,)."""

    def turn(self, outcomes: FloatArray, /) -> float:
        """The outcome at which a period's share turns from the largest to the smallest."""


@dataclass(frozen=True)
class TailLoss:
    """CVaR, the largest expected loss over probabilities q with 0 ≤ q ≤ 1/(tail·T).

    Attributes:
        outcomes: Excess returns, shape (T, n).
        tail: Share of the periods.
    """

    outcomes: FloatArray
    tail: float
    least: float = 0.0
    total: float | None = 1.0
    widths: tuple[float, ...] = (0.5,)

    @property
    def most(self) -> float:
        """Largest probability of a period."""
        return min(1.0, 1.0 / (self.tail * len(self.outcomes)))

    def value(self, outcomes: FloatArray, /) -> float:
        """CVaR."""
        return -float(tail_weights(outcomes, self.tail) @ outcomes)

    def turn(self, outcomes: FloatArray, /) -> float:
        """Minus the value at risk."""
        last = min(whole_periods(self.tail * len(outcomes)), len(outcomes) - 1)
        return float(np.partition(outcomes, last)[last])


@dataclass(frozen=True)
class AbsoluteLoss:
    """The mean absolute deviation.

    Attributes:
        outcomes: Returns less their means, shape (T, n).
    """

    outcomes: FloatArray
    total: float | None = None
    widths: tuple[float, ...] = (0.5, 0.15)

    @property
    def least(self) -> float:
        """The share of a period above the mean."""
        return -self.most

    @property
    def most(self) -> float:
        """The share of a period below the mean."""
        return 1.0 / len(self.outcomes)

    def value(self, outcomes: FloatArray, /) -> float:
        """Mean absolute deviation."""
        return float(np.abs(outcomes).mean())

    def turn(self, _outcomes: FloatArray, /) -> float:
        """The mean itself."""
        return 0.0

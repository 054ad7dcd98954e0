"""A piecewise linear convex cost that is known by its cuts, minimised over a region.

Of many assets only some are held: the others rest at their smallest weights until their reduced
costs let them join.
"""

import numpy as np

from optimization.engine.convex.cut_solvers import Columns, DaqpCuts, HighsCuts
from optimization.engine.convex.cuts import CutOptimum, Cuts
from optimization.engine.convex.quadratic import PRICING, IntArray
from optimization.engine.convex.region import Region
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

DENSE = 100
"""Up to this many assets DAQP solves."""

JOIN = 20
"""How many assets join at a time."""


class CutModel:
    """Minimises level + Σ group costs over the region and the cuts so far.

    Args:
        region: Linear in the weights.
        groups: How many there are.
        assets: Those to begin with, by index; the others rest at their smallest weights.
    """

    def __init__(self, region: Region, groups: int, assets: IntArray) -> None:
        self._region, self._groups = region, groups
        self._known: list[Cuts] = []
        self._inner = self._begin(assets)

    def _begin(self, assets: IntArray) -> DaqpCuts | HighsCuts:
        """A solver over some assets that knows no cuts."""
        self._assets = assets
        columns = Columns.of(self._region, assets)
        few = len(assets) <= DENSE
        return DaqpCuts(columns, self._groups) if few else HighsCuts(columns, self._groups)

    @property
    def solver(self) -> str:
        """What solves it."""
        return self._inner.name

    @property
    def multipliers(self) -> FloatArray:
        """Of every cut, in their order, at the last solution."""
        return self._inner.multipliers

    def add(self, cuts: Cuts) -> None:
        """Take more cuts in."""
        self._known.append(cuts)
        self._inner.add(cuts)

    def solve(self) -> CutOptimum:
        """The least that the cuts so far allow the assets so far.

        Raises:
            SolverFailureError: The linear solvers stopped without an answer.
        """
        try:
            return self._inner.solve()
        except SolverFailureError:
            if isinstance(self._inner, HighsCuts):
                raise
        self._restart(HighsCuts(Columns.of(self._region, self._assets), self._groups))
        return self._inner.solve()

    def join(self) -> bool:
        """Let those assets join that would improve the last solution: whether there are any."""
        region, assets = self._region, self._assets
        if len(assets) == region.n_assets:
            return False
        slopes = np.concatenate([cuts.slopes for cuts in self._known])
        reduced = self.multipliers @ slopes - self._inner.prices @ region.limits.matrix
        reduced[assets] = 0.0
        joining = np.flatnonzero((reduced < -PRICING) & (region.room > 0))
        if not len(joining):
            return False
        joining = joining[np.argsort(reduced[joining])[:JOIN]]
        last = self._inner
        self._restart(self._begin(np.sort(np.concatenate((assets, joining)))))
        if isinstance(last, DaqpCuts) and isinstance(self._inner, DaqpCuts):
            self._inner.go_on_from(last)
        return True

    def begin_at(self, weights: FloatArray) -> None:
        """Begin where all cuts so far hold a portfolio, which need not be quite true."""
        if isinstance(self._inner, DaqpCuts):
            self._inner.begin_at(weights)

    def _restart(self, solver: DaqpCuts | HighsCuts) -> None:
        """Go on with another solver, which gets the same cuts."""
        self._inner = solver
        for cuts in self._known:
            solver.add(cuts)

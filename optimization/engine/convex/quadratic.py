"""Quadratic programmes over linear constraints: DAQP on the assets that matter.

Of many long-only assets an optimum holds few. The programme is solved over a working set, every
other asset is priced by its reduced cost through Q(w) alone, and the ones that would improve the
optimum join, until none does. The result is the optimum over all assets.
"""

from dataclasses import dataclass
from typing import Any

import daqp
import numpy as np
import numpy.typing as npt

from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.region import Region
from optimization.engine.covariance import Covariance
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

Mask = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

WHOLE = 32
"""Up to this many assets all of them are in the working set; DAQP's time grows with the cube."""

FIRST, JOIN = 40, 24
"""Assets in the first working set besides a feasible portfolio's, and how many join at a time."""

ROUNDS = 80
RIDGES = (0.0, 1e-11, 1e-9, 1e-7)
"""Keep DAQP's factorisation alive on a singular Q; tried in turn when it stops, and left out of
the polish and the certificate."""

PROXIMAL = 1e-9

ENDLESS = 1e30
EQUALITY = 5
OPTIMAL = 1
PRICING = 1e-10
PRIMAL_TOLERANCE = 1e-12
TINY = float(np.finfo(np.float64).tiny)
NO_ASSETS: IntArray = np.zeros(0, dtype=np.intp)


Limits = tuple[FloatArray, FloatArray, npt.NDArray[np.int32]]
"""Lower and upper limits of the variables, then of the rows, and which of them are equations."""


@dataclass(frozen=True)
class Face:
    """An optimum with the constraints that hold it.

    Attributes:
        weights: Shape (n,).
        assets: The working set, by index, shape (k,).
        multipliers: Of its assets' bounds, then of the rows; negative at a lower limit.
        fixed: Which of the two leave no choice, shape (k + m,).
    """

    weights: FloatArray
    assets: IntArray
    multipliers: FloatArray
    fixed: Mask

    @property
    def free(self) -> IntArray:
        """Assets strictly between their bounds, by index."""
        count = len(self.assets)
        held = (self.multipliers[:count] != 0) | self.fixed[:count]
        return np.asarray(self.assets[~held])

    @property
    def idle(self) -> IntArray:
        """Assets at their lower bound, by index."""
        return np.asarray(self.assets[self.multipliers[: len(self.assets)] < 0])

    @property
    def tight(self) -> IntArray:
        """Rows (the budget is 0) that hold with equality."""
        count = len(self.assets)
        return np.flatnonzero((self.multipliers[count:] != 0) | self.fixed[count:])


class QuadraticProgramme:
    """Minimises ½w'Qw + linear'w over the linear constraints of a region, again and again.

    Args:
        quadratic: Q in factored form.
        region: Bounds, budget and rows; no limits on trades.
        working: Assets to begin with, shape (n,), or None to choose them.
    """

    def __init__(self, quadratic: Covariance, region: Region, working: Mask | None = None) -> None:
        self.quadratic = quadratic
        self.region = region
        self.limits = region.limits
        self.working = working
        self.scale = 1.0
        self._assets = NO_ASSETS
        self._block: FloatArray = np.zeros((0, 0))
        self._inside = self.limits.matrix
        self._outside: FloatArray | None = None
        self._bounds: Limits = (self.limits.low, self.limits.high, np.zeros(0, dtype=np.int32))
        self._is_new = True
        self._model: Any = None

    def solve(self, linear: FloatArray) -> Face:
        """The optimum for one linear part, shape (n,).

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        region = self.region
        if region.n_assets <= WHOLE or not region.is_long:
            return self.solve_over(np.arange(region.n_assets), linear)
        if self.working is not None:
            try:
                return self._generate(self.working.copy(), linear)
            except SolverFailureError:
                pass  # no portfolio among the assets of the last one; choose others
        return self._generate(self._first(linear), linear)

    def _generate(self, working: Mask, linear: FloatArray) -> Face:
        region = self.region
        for _ in range(ROUNDS):
            assets = np.flatnonzero(working)
            face = self.solve_over(assets, linear)
            gradient = self.quadratic.times(face.weights) + linear
            prices = face.multipliers[len(assets) :] @ self.limits.matrix
            reduced = gradient + prices / self.scale
            reduced[assets] = 0.0
            if not exchange(working, face.idle, reduced, gradient, region):
                self.working = working
                return face
        raise SolverFailureError(ENDLESS_COLUMNS)

    def _first(self, linear: FloatArray) -> Mask:
        # The direction in which a portfolio of everything would fall fastest.
        everything = np.full(self.region.n_assets, 1.0 / self.region.n_assets)
        return promising(self.quadratic.roughly_times(everything) + linear, self.region)

    def solve_over(self, assets: IntArray, linear: FloatArray) -> Face:
        """The optimum over some assets, the others at their smallest weight.

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        region, count = self.region, len(assets)
        self._load(assets)
        part = linear[assets]
        if self._outside is not None:
            part = part + self._outside
        x, multipliers = self._minimise(self.scale * part)
        low, high, sense = self._bounds
        weights = region.lower.copy()
        weights[assets] = within(x, low[:count], high[:count], multipliers[:count])
        return Face(weights, assets, multipliers, sense == EQUALITY)

    def _minimise(self, linear: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The optimum over the working set and its multipliers."""
        if not self._is_new:
            x, flag, multipliers = self._minimise_again(linear)
            if flag == OPTIMAL:
                return x, multipliers
            self._model = None
        self._is_new = False
        x, _, multipliers = minimise_by_daqp(self._block, linear, self._inside, self._bounds)
        return x, multipliers

    def _minimise_again(self, linear: FloatArray) -> tuple[FloatArray, int, FloatArray]:
        """The same from the last active set, and how it ended: many times faster than anew."""
        if self._model is None:
            low, high, sense = self._bounds
            self._model = daqp.Model()
            self._model.settings = {"primal_tol": PRIMAL_TOLERANCE}
            flag, _ = self._model.setup(self._block, linear, self._inside, high, low, sense)
        else:
            flag = self._model.update(f=linear)
        if flag < 0:
            return linear, flag, linear
        x, _, flag, info = self._model.solve()
        return x, flag, np.asarray(info["lam"])

    def _load(self, assets: IntArray) -> None:
        """Everything of a working set's programme but its linear part."""
        if len(assets) == len(self._assets) and bool((assets == self._assets).all()):
            return
        region, limits, self._assets = self.region, self.limits, assets
        self._is_new, self._model = True, None
        whole = len(assets) == region.n_assets
        block = self.quadratic.dense if whole else self.quadratic.block(assets)
        trace = float(block.diagonal().sum())
        self.scale = len(block) / trace if trace > len(block) * TINY else 1.0
        self._block = block * self.scale
        self._inside = limits.matrix if whole else limits.matrix[:, assets]
        low, high = limits.low, limits.high
        self._outside = None
        if not whole and region.lower.any():
            outside = region.lower.copy()
            outside[assets] = 0.0
            fixed = limits.matrix @ outside
            low, high = low - fixed, high - fixed
            self._outside = self.quadratic.times(outside)[assets]
        low = np.concatenate([region.lower[assets], np.maximum(low, -ENDLESS)])
        high = np.concatenate([region.upper[assets], np.minimum(high, ENDLESS)])
        self._bounds = (low, high, np.where(high <= low, EQUALITY, 0).astype(np.int32))

    def along(
        self, face: Face, direction: FloatArray, pull: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """On one face, base + t·slope minimises ½w'Qw − (pull + t·direction)'w for every t.

        Raises:
            SolverFailureError: Q is singular on the face.
        """
        self._load(face.assets)
        free, rows = face.free, face.tight
        base, slope = face.weights.copy(), np.zeros(len(face.weights))
        base[free] = 0.0
        if not len(free):
            return base, slope
        k, inside = len(free), self.limits.matrix[rows[:, np.newaxis], free]
        size = k + len(rows)
        system = np.zeros((size, size))
        # A ridge towards the face's own weights keeps identical assets where DAQP put them.
        system[:k, :k] = self._scaled_block(free)
        system[:k].flat[:: size + 1] += PROXIMAL
        system[:k, k:], system[k:, :k] = inside.T, inside
        limits = np.where(self._nearer_high(face), self.limits.high, self.limits.low)[rows]
        right = np.zeros((size, 2))
        right[:k, 0] = PROXIMAL * face.weights[free] - self.scale * self.quadratic.times(base)[free]
        if pull is not None:
            right[:k, 0] += self.scale * pull[free]
        right[:k, 1] = self.scale * direction[free]
        right[k:, 0] = limits - self.limits.matrix[rows] @ base
        try:
            solved = np.linalg.solve(system, right)
        except np.linalg.LinAlgError as error:
            raise SolverFailureError("the quadratic form is singular on the face") from error
        base[free], slope[free] = solved[:k, 0], solved[:k, 1]
        return base, slope

    def _scaled_block(self, free: IntArray) -> FloatArray:
        """Rows and columns of the scaled Q for free assets, which the working set contains."""
        places = np.searchsorted(self._assets, free)
        return self._block[places[:, np.newaxis], places]

    def _nearer_high(self, face: Face) -> Mask:
        value = self.limits.matrix @ face.weights
        return np.asarray(np.abs(self.limits.high - value) <= np.abs(self.limits.low - value))

    def contains(self, weights: FloatArray, slack: float = 1e-13) -> bool:
        """Whether weights satisfy every bound and row up to a slack."""
        value = self.limits.matrix @ weights
        return bool(
            (weights >= self.region.lower - slack).all()
            and (weights <= self.region.upper + slack).all()
            and (value >= self.limits.low - slack * (1 + np.abs(value))).all()
            and (value <= self.limits.high + slack * (1 + np.abs(value))).all()
        )


def within(x: FloatArray, low: FloatArray, high: FloatArray, held: FloatArray) -> FloatArray:
    """A solver's point without its rounding: between its bounds, and on those with a multiplier."""
    inside = np.minimum(np.maximum(x, low), high)
    inside = np.where(held < 0, low, inside)
    return np.where(held > 0, high, inside)


ENDLESS_COLUMNS = "asset columns were generated without end"


def promising(gradient: FloatArray, region: Region) -> Mask:
    """A first working set: a feasible portfolio's assets and those of the steepest descent."""
    working = minimise_linear(gradient, region).weights > region.lower
    working[np.argsort(gradient)[:FIRST]] = True
    return np.asarray(working)


def exchange(
    working: Mask, idle: IntArray, reduced: FloatArray, gradient: FloatArray, region: Region
) -> bool:
    """Let the assets join whose reduced cost would improve the optimum, in the place of idle ones.

    An idle asset leaves to keep the programme small; it is priced again every round.

    Args:
        working: The working set, shape (n,); changed in place.
        idle: Its assets at their lower bound, by index.
        reduced: Reduced cost per asset, shape (n,), 0 in the working set.
        gradient: The objective's gradient, shape (n,), which tells a cost from rounding.
        region: Where.

    Returns:
        Whether any asset joined.
    """
    floor = PRICING * max(float(np.abs(gradient).max()), TINY)
    joining = np.flatnonzero((reduced < -floor) & (region.upper > region.lower))
    if not len(joining):
        return False
    if int(working.sum()) > WHOLE:
        working[idle] = False
    working[joining[np.argsort(reduced[joining])[:JOIN]]] = True
    return True


def minimise_by_daqp(
    block: FloatArray, linear: FloatArray, rows: FloatArray, limits: Limits
) -> tuple[FloatArray, float, FloatArray]:
    """Minimise ½x'·block·x + linear'x within limits on x and on rows·x: x, value, multipliers.

    Raises:
        SolverFailureError: DAQP stopped without an answer.
    """
    low, high, sense = limits
    flag = 0
    for ridge in RIDGES:
        raised = block
        if ridge:
            raised = block.copy()
            raised.reshape(-1)[:: len(block) + 1] += ridge
        x, value, flag, info = daqp.solve(
            raised, linear, rows, high, low, sense, primal_tol=PRIMAL_TOLERANCE
        )
        if flag == OPTIMAL:
            return x, float(value), np.asarray(info["lam"])
    raise SolverFailureError(f"the quadratic solver stopped with flag {flag}")

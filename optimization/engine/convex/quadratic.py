"""Quadratic programmes over linear constraints: DAQP on the assets that matter.

Of many long-only assets an optimum holds few. The programme is solved over a working set, every
other asset is priced by its reduced cost through Q(w) alone, and the ones that would improve the
optimum join, until none does. The result is the optimum over all assets.
"""

from dataclasses import dataclass

import daqp
import numpy as np
import numpy.typing as npt

from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.region import Region
from optimization.engine.errors import SolverFailureError
from optimization.engine.moments import Covariance
from optimization.engine.problem import FloatArray

Mask = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

WHOLE = 60
"""Up to this many assets all of them are in the working set."""

FIRST, JOIN = 40, 30
"""Assets in the first working set besides a feasible portfolio's, and how many join at a time."""

ROUNDS = 80
RIDGES = (1e-11, 1e-9, 1e-7)
"""Keep DAQP's factorisation alive on a singular Q; tried in turn when it stops, and left out of
the polish and the certificate."""

PROXIMAL = 1e-9

ENDLESS = 1e30
EQUALITY = 5
OPTIMAL = 1
PRICING = 1e-10
PRIMAL_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Face:
    """An optimum with the constraints that hold it.

    Attributes:
        weights: Shape (n,).
        free: Assets strictly between their bounds.
        tight: Rows (the budget first) that hold with equality.
    """

    weights: FloatArray
    free: Mask
    tight: Mask


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
        budget = np.ones((1, region.n_assets))
        self.matrix = np.vstack([budget, region.matrix]) if region.rows else budget
        self.low = np.array([region.budget_low, *(row.low for row in region.rows)])
        self.high = np.array([region.budget_high, *(row.high for row in region.rows)])
        self.scale = 1.0 / max(float(quadratic.variances.mean()), np.finfo(np.float64).tiny)
        self.working = working
        self._block: FloatArray | None = None
        self._assets: IntArray = np.zeros(0, dtype=np.intp)
        self._inside = self.matrix
        self._outside: FloatArray | None = None
        self._limits = (self.low, self.high)

    def solve(self, linear: FloatArray) -> Face:
        """The optimum for one linear part, shape (n,).

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        region, n = self.region, self.region.n_assets
        working = self._start(linear)
        for _ in range(ROUNDS):
            assets = np.flatnonzero(working)
            weights, multipliers, held = self._solve_over(assets, linear)
            if len(assets) == n:
                self.working = working
                return self._face(weights, multipliers, held, assets)
            gradient = self.quadratic.times(weights) + linear
            reduced = gradient + multipliers @ self.matrix / self.scale
            reduced[assets] = 0.0
            floor = PRICING * max(float(np.abs(gradient).max()), np.finfo(np.float64).tiny)
            joining = np.flatnonzero((reduced < -floor) & (region.upper > region.lower))
            if not len(joining):
                self.working = working
                return self._face(weights, multipliers, held, assets)
            joining = joining[np.argsort(reduced[joining])[:JOIN]]
            # An idle asset leaves to keep the programme small; it is priced again every round.
            idle = assets[held == -1]
            working[idle] = len(assets) <= WHOLE
            working[joining] = True
            self._block = None
        raise SolverFailureError("asset columns were generated without end")

    def _start(self, linear: FloatArray) -> Mask:
        region, n = self.region, self.region.n_assets
        if n <= WHOLE or bool((region.lower < 0).any()):
            return np.ones(n, dtype=np.bool_)
        if self.working is not None:
            return self.working.copy()
        if not linear.any():
            # The direction in which a portfolio of everything would fall fastest.
            linear = self.quadratic.times(np.full(n, 1.0 / n))
        else:
            linear = linear / np.sqrt(np.maximum(self.quadratic.variances, PRICING / self.scale))
        working = minimise_linear(linear, region).weights > region.lower
        working[np.argsort(linear)[:FIRST]] = True
        return np.asarray(working)

    def _solve_over(
        self, assets: IntArray, linear: FloatArray
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        """Weights, the rows' multipliers, and each asset's bound: −1 lower, 1 upper, or 0."""
        region, whole = self.region, len(assets) == self.region.n_assets
        known = self._block is not None and np.array_equal(assets, self._assets)
        block = self._block if known and self._block is not None else self._load(assets, whole)
        part = linear if whole else linear[assets]
        if not whole and self._outside is not None:
            part = part + self._outside[assets]
        x, info = _daqp(block, self.scale * part, self._inside, self._limits)
        low, high = self._limits
        count = len(assets)
        weights = region.lower.copy()
        weights[assets] = np.minimum(np.maximum(x, low[:count]), high[:count])
        multipliers = np.asarray(info["lam"])
        held = np.sign(multipliers[:count]).astype(np.intp)
        held[(held == 0) & (high[:count] <= low[:count])] = 1
        return weights, multipliers[count:], held

    def _load(self, assets: IntArray, whole: bool) -> FloatArray:
        """Everything of a working set's programme but its linear part; its quadratic part."""
        region, self._assets = self.region, assets
        block = self.scale * (self.quadratic.dense if whole else self.quadratic.block(assets))
        self._block = block
        self._inside = self.matrix if whole else self.matrix[:, assets]
        self._outside, fixed = None, np.zeros(len(self.low))
        if not whole and region.lower.any():
            outside = region.lower.copy()
            outside[assets] = 0.0
            fixed = self.matrix @ outside
            self._outside = self.quadratic.times(outside)
        low = np.maximum(self.low - fixed, -ENDLESS)
        high = np.minimum(self.high - fixed, ENDLESS)
        self._limits = (
            np.concatenate([region.lower[assets], low]),
            np.concatenate([region.upper[assets], high]),
        )
        return block

    def _face(
        self, weights: FloatArray, multipliers: FloatArray, held: IntArray, assets: IntArray
    ) -> Face:
        free = np.zeros(self.region.n_assets, dtype=np.bool_)
        free[assets] = held == 0
        return Face(weights, free, (multipliers != 0) | (self.low == self.high))

    def along(
        self, face: Face, direction: FloatArray, pull: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """On one face, base + t·slope minimises ½w'Qw − (pull + t·direction)'w for every t.

        Raises:
            SolverFailureError: Q is singular on the face.
        """
        free, rows = np.flatnonzero(face.free), np.flatnonzero(face.tight)
        base, slope = np.where(face.free, 0.0, face.weights), np.zeros(len(face.weights))
        if not len(free):
            return base, slope
        k, inside = len(free), self.matrix[rows[:, np.newaxis], free]
        size = k + len(rows)
        system = np.zeros((size, size))
        # A ridge towards the face's own weights keeps identical assets where DAQP put them.
        system[:k, :k] = self._scaled_block(free)
        system[:k].flat[:: size + 1] += PROXIMAL
        system[:k, k:], system[k:, :k] = inside.T, inside
        limits = np.where(self._nearer_high(face), self.high, self.low)[rows]
        right = np.zeros((size, 2))
        right[:k, 0] = PROXIMAL * face.weights[free] - self.scale * self.quadratic.times(base)[free]
        if pull is not None:
            right[:k, 0] += self.scale * pull[free]
        right[:k, 1] = self.scale * direction[free]
        right[k:, 0] = limits - self.matrix[rows] @ base
        try:
            solved = np.linalg.solve(system, right)
        except np.linalg.LinAlgError as error:
            raise SolverFailureError("the quadratic form is singular on the face") from error
        base[free], slope[free] = solved[:k, 0], solved[:k, 1]
        return base, slope

    def _scaled_block(self, free: IntArray) -> FloatArray:
        """Rows and columns of the scaled Q for free assets, which the working set contains."""
        if self._block is None:
            return self.scale * self.quadratic.block(free)
        places = np.searchsorted(self._assets, free)
        return self._block[places[:, np.newaxis], places]

    def _nearer_high(self, face: Face) -> Mask:
        value = self.matrix @ face.weights
        return np.asarray(np.abs(self.high - value) <= np.abs(self.low - value))

    def contains(self, weights: FloatArray, slack: float = 1e-13) -> bool:
        """Whether weights satisfy every bound and row up to a slack."""
        value = self.matrix @ weights
        return bool(
            (weights >= self.region.lower - slack).all()
            and (weights <= self.region.upper + slack).all()
            and (value >= self.low - slack * (1 + np.abs(value))).all()
            and (value <= self.high + slack * (1 + np.abs(value))).all()
        )


def _daqp(
    block: FloatArray, linear: FloatArray, inside: FloatArray, limits: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Minimise ½x'·block·x + linear'x within limits on x and on the rows ``inside``."""
    low, high = limits
    sense = np.where(high <= low, EQUALITY, 0).astype(np.int32)
    flag = 0
    for ridge in RIDGES:
        raised = block.copy()
        raised.flat[:: len(block) + 1] += ridge
        x, _, flag, info = daqp.solve(
            raised, linear, inside, high, low, sense, primal_tol=PRIMAL_TOLERANCE
        )
        if flag == OPTIMAL:
            return x, info
    raise SolverFailureError(f"the quadratic solver stopped with flag {flag}")

"""Portfolios of greatest excess return per unit of risk.

Fully invested, the homogenised problem y = κw with m'y = 1 and κ = 1'y is one quadratic programme.
With cash, on its face of the feasible set the optimum minimises ½w'Qw − t·m'w for the one t with
t = w'Qw / m'w; on a face w(t) is affine and the equation has a closed solution, so a few quadratic
programmes with a moving t find it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.quadratic import (
    ENDLESS,
    ENDLESS_COLUMNS,
    EQUALITY,
    NO_ASSETS,
    TINY,
    WHOLE,
    Face,
    IntArray,
    Limits,
    Mask,
    QuadraticProgramme,
    exchange,
    minimise_by_daqp,
    promising,
    within,
)
from optimization.engine.convex.region import Region
from optimization.engine.convex.tilt import next_tilt
from optimization.engine.covariance import Covariance
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray

ROUNDS = 60
SETTLED = 1e-13
ROUNDING = 1e-14
"""A weight or a row's value this small beside what it is the sum of is nothing at all."""

RISKLESS = "no asset has any risk"


@dataclass(frozen=True)
class Tangency:
    """The portfolio of the greatest m'w / √(w'Qw).

    Attributes:
        weights: Shape (n,).
        tilt: The t at which it also minimises ½w'Qw − t·m'w.
        working: Assets that the programme worked with.
        polish: Solves its face's own equations, for weights without the solver's rounding.
    """

    weights: FloatArray
    tilt: float
    working: Mask | None
    polish: Callable[[], FloatArray | None] | None = None

    @property
    def for_later(self) -> "Tangency":
        """The same without what holds on to the returns."""
        return Tangency(self.weights, self.tilt, self.working)


def maximise_ratio(
    quadratic: Covariance, mean: FloatArray, region: Region, start: Tangency | None = None
) -> Tangency:
    """Maximise mean'w / √(w'Qw) over a region on which mean'w can be positive.

    Raises:
        SolverFailureError: The iteration did not settle, e.g. on a singular Q.
    """
    working = start.working if start else None
    if holds_nothing(region):
        return _on_cone(quadratic, mean, region, working)
    if _is_homogeneous(region):
        return _Homogenised(quadratic, mean, region).solve(working)
    return _by_tilting(quadratic, mean, region, start)


def _is_homogeneous(region: Region) -> bool:
    """Whether κ is the sum of the weights, and an asset left out of a programme weighs nothing."""
    invested = region.budget_low == region.budget_high == 1.0
    return invested and (region.n_assets <= WHOLE or not region.lower.any())


class _Homogenised:
    """The tangency portfolio of a fully invested region, by one programme per working set."""

    def __init__(self, quadratic: Covariance, mean: FloatArray, region: Region) -> None:
        self.quadratic = quadratic
        self.mean = mean
        self.region = region

    def solve(self, working: Mask | None) -> Tangency:
        """The tangency portfolio, its working set generated from a first one.

        Raises:
            SolverFailureError: DAQP stopped without an answer.
        """
        region = self.region
        if region.n_assets <= WHOLE:
            found = self._solve_over(np.arange(region.n_assets))
            return Tangency(found.weights, found.tilt, None, partial(self._polished, found))
        if working is not None:
            try:
                return self._generate(self._with_gain(working))
            except SolverFailureError:
                pass  # no portfolio among the assets of the last one; choose others
        return self._generate(self._with_gain(self._first()))

    def _generate(self, working: Mask) -> Tangency:
        region = self.region
        for _ in range(ROUNDS):
            assets = np.flatnonzero(working)
            found = self._solve_over(assets)
            gradient = self.quadratic.times(found.weights)
            reduced = gradient + found.prices(self.mean, region)
            reduced[assets] = 0.0
            if not exchange(working, found.face.idle, reduced, gradient, region):
                polish = partial(self._polished, found)
                return Tangency(found.weights, found.tilt, working, polish)
        raise SolverFailureError(ENDLESS_COLUMNS)

    def _first(self) -> Mask:
        # The gradient of the logarithm of the ratio at a portfolio of everything.
        region, mean = self.region, self.mean
        risk = self.quadratic.roughly_times(np.full(region.n_assets, 1.0 / region.n_assets))
        gain = float(mean.mean())
        slope = risk / max(float(risk.mean()), TINY) - mean / gain if gain > 0 else -mean
        return promising(slope, region)

    def _with_gain(self, working: Mask) -> Mask:
        """With the assets of a portfolio that has a positive excess return."""
        richest = minimise_linear(-self.mean, self.region).weights
        return np.asarray(working | (richest > self.region.lower))

    def _solve_over(self, assets: IntArray) -> "_Vertex":
        """The optimum over some assets."""
        region, count = self.region, len(assets)
        whole = count == region.n_assets
        block = self.quadratic.dense if whole else self.quadratic.block(assets)
        risk = float(block.diagonal().sum())
        if risk <= TINY:
            raise SolverFailureError(RISKLESS)
        scale = count / risk
        mean, lower, upper = self.mean[assets], region.lower[assets], region.upper[assets]
        unit = float(np.abs(mean).max())
        if unit <= 0.0:
            raise SolverFailureError("no portfolio has a positive excess return")
        system = _ScaledRows(region, assets, mean / unit)
        y, value, multipliers = minimise_by_daqp(
            block * scale, np.zeros(count), system.matrix, system.limits()
        )
        total = float(y.sum())
        if total <= 0:
            raise SolverFailureError("the tangency portfolio is not invested")
        weights = region.lower.copy()
        weights[assets] = within(y / total, lower, upper, system.held(multipliers))
        return _Vertex(weights, assets, multipliers, system, (value, scale, total, unit))

    def _polished(self, found: "_Vertex") -> FloatArray | None:
        """The optimum of the face by its own equations, or None where they lead out of it."""
        programme = QuadraticProgramme(self.quadratic, self.region)
        base, slope = programme.along(found.face, self.mean)
        gain = float(self.mean @ base)
        if gain <= 0:
            return None
        weights = base + self.quadratic.variance(base) / gain * slope
        return weights if programme.contains(weights, 1e-12) else None


class _ScaledRows:
    """Limits that grow with κ = 1'y as rows of y: m'y = 1, the region's rows, then the bounds.

    Args:
        region: The limits of w.
        assets: The working set, by index.
        gain: m over its unit, of the working set.
    """

    def __init__(self, region: Region, assets: IntArray, gain: FloatArray) -> None:
        lower, upper = region.lower[assets], region.upper[assets]
        low, high = region.limits.low[1:], region.limits.high[1:]
        self.n_rows = len(low)
        self.least = np.flatnonzero(np.isfinite(low)) if self.n_rows else NO_ASSETS
        self.most = np.flatnonzero(np.isfinite(high)) if self.n_rows else NO_ASSETS
        self.floors = np.flatnonzero(lower) if lower.any() else NO_ASSETS
        # Nothing can exceed the sum of weights that are not negative.
        self.caps = np.flatnonzero(upper < (1.0 if region.is_long else np.inf))
        self.count = len(assets)
        own = len(self.least) + len(self.most)
        self.first = 1 + own
        self.bound = np.empty(own + len(self.caps) + len(self.floors))
        self.bound[: len(self.least)] = low[self.least]
        self.bound[len(self.least) : own] = high[self.most]
        self.bound[own : own + len(self.caps)] = upper[self.caps]
        self.bound[own + len(self.caps) :] = lower[self.floors]
        self.matrix = np.empty((1 + len(self.bound), self.count))
        self.matrix[0] = gain
        self.matrix[1:] = -self.bound[:, np.newaxis]
        if own:
            inside = region.matrix[:, assets]
            self.matrix[1 : self.first] += inside[np.concatenate([self.least, self.most])]
        end = self.first + len(self.caps)
        self.matrix[np.arange(self.first, end), self.caps] += 1.0
        self.matrix[np.arange(end, len(self.matrix)), self.floors] += 1.0

    def held(self, multipliers: FloatArray) -> FloatArray:
        """Multipliers of the bounds on w, shape (k,), out of those of y and the rows."""
        bounds, held = multipliers[self.count + self.first :], multipliers[: self.count].copy()
        held[self.caps] += bounds[: len(self.caps)]
        held[self.floors] += bounds[len(self.caps) :]
        return held

    def limits(self) -> Limits:
        """Limits of y, then of the rows."""
        low = np.full(self.count + len(self.matrix), -ENDLESS)
        high = np.full(len(low), ENDLESS)
        low[: self.count] = 0.0
        low[self.floors] = -ENDLESS
        at = self.count
        low[at] = high[at] = 1.0
        at += 1
        low[at : at + len(self.least)] = 0.0
        at += len(self.least)
        end = at + len(self.most) + len(self.caps)
        high[at:end] = 0.0
        low[end:] = 0.0
        sense = np.zeros(len(low), dtype=np.int32)
        sense[self.count] = EQUALITY
        return low, high, sense


@dataclass(frozen=True)
class _Vertex:
    """An optimum of the homogenised programme.

    Attributes:
        weights: Shape (n,).
        assets: The working set, by index.
        multipliers: Of y, then of the rows.
        system: Which rows those are.
        scales: The programme's value, and the units of Q, of κ and of m.
    """

    weights: FloatArray
    assets: IntArray
    multipliers: FloatArray
    system: _ScaledRows
    scales: tuple[float, float, float, float]

    @property
    def tilt(self) -> float:
        """W'Qw / m'w."""
        value, scale, total, unit = self.scales
        return 2.0 * value / (scale * total * unit)

    @property
    def _own(self) -> FloatArray:
        """Multipliers of the region's rows, shape (m,)."""
        system, rows = self.system, self.multipliers[self.system.count + 1 :]
        found = np.zeros(system.n_rows)
        found[system.least] += rows[: len(system.least)]
        found[system.most] += rows[len(system.least) : system.first - 1]
        return found

    def prices(self, mean: FloatArray, region: Region) -> FloatArray:
        """What the rows add to the gradient of ½w'Qw, per asset, shape (n,)."""
        _, scale, total, unit = self.scales
        rows = self.multipliers[self.system.count :]
        shared = rows[0] / unit * mean - float(rows[1:] @ self.system.bound)
        if region.rows:
            shared += self._own @ region.matrix
        return np.asarray(shared / (scale * total))

    @property
    def face(self) -> Face:
        """The bounds and rows that hold, the budget always among them."""
        held = self.system.held(self.multipliers)
        multipliers = np.concatenate([held, [1.0], self._own])
        return Face(self.weights, self.assets, multipliers, np.zeros(len(multipliers), np.bool_))


def _by_tilting(
    quadratic: Covariance, mean: FloatArray, region: Region, start: Tangency | None
) -> Tangency:
    programme = QuadraticProgramme(quadratic, region, start.working if start else None)
    tilt = start.tilt if start else _first_tilt(quadratic, mean, region)
    weights, low, high = None, 0.0, np.inf
    for _ in range(ROUNDS):
        face = programme.solve(-tilt * mean)
        # Along the portfolios of all tilts the ratio rises to its maximum and then falls.
        if quadratic.variance(face.weights) > tilt * float(mean @ face.weights):
            low = tilt
        else:
            high = tilt
        base, slope = programme.along(face, mean)
        gain = float(mean @ base)
        target = quadratic.variance(base) / gain if gain > 0 else np.inf
        if target < np.inf:
            weights = base + target * slope
            still = abs(target - tilt) <= SETTLED * target
            if still or _holds(programme, weights, target * mean):
                tilt = target
                break
        tilt = next_tilt(target, low, high, 4.0 * tilt)
    if weights is None:
        raise SolverFailureError("the tilt of the tangency portfolio did not settle")
    return Tangency(weights, tilt, programme.working)


def _first_tilt(quadratic: Covariance, mean: FloatArray, region: Region) -> float:
    richest = minimise_linear(-mean, region).weights
    gain = float(mean @ richest)
    if gain <= 0:
        raise SolverFailureError("no portfolio has a positive excess return")
    return quadratic.variance(richest) / gain


def _holds(programme: QuadraticProgramme, weights: FloatArray, pull: FloatArray) -> bool:
    """Whether weights are feasible and nothing would rather leave its limit."""
    if not programme.contains(weights):
        return False
    gradient = programme.quadratic.times(weights) - pull
    linear = minimise_linear(gradient, programme.region)
    distance = float(gradient @ weights) - linear.value
    return distance <= SETTLED * programme.quadratic.variance(weights)


def holds_nothing(region: Region) -> bool:
    """Whether all cash is feasible, so that a ratio's optimum may be scaled down at will."""
    return bool(
        region.budget_low <= 0
        and (region.lower <= 0).all()
        and (region.upper >= 0).all()
        and all(row.low <= 0 <= row.high for row in region.rows)
    )


def cone_of(region: Region) -> Region:
    """The directions in which a region that holds nothing extends from zero."""
    return replace(
        region,
        lower=np.where(region.lower < 0, -np.inf, 0.0),
        upper=np.where(region.upper > 0, np.inf, 0.0),
        budget_low=-np.inf,
        budget_high=np.inf,
        rows=tuple(
            replace(
                row,
                low=-np.inf if row.low < 0 else 0.0,
                high=np.inf if row.high > 0 else 0.0,
            )
            for row in region.rows
        ),
    )


def _on_cone(
    quadratic: Covariance, mean: FloatArray, region: Region, working: Mask | None
) -> Tangency:
    """With cash only the limits at zero matter: solve without the others, then shrink into them."""
    cone = cone_of(region)
    programme = QuadraticProgramme(quadratic, cone, working)
    if quadratic.mean_variance <= TINY:
        raise SolverFailureError(RISKLESS)
    tilt = quadratic.mean_variance / (float(np.abs(mean).max()) or 1.0)
    face = programme.solve(-tilt * mean)
    base, slope = programme.along(face, tilt * mean)
    weights = base + slope
    if not weights.any():
        raise SolverFailureError("no portfolio has a positive excess return")
    return Tangency(weights * shrink_into(region, weights), tilt, programme.working)


def shrink_into(region: Region, weights: FloatArray) -> float:
    """The largest factor with factor · weights in a region that holds nothing."""
    size = np.abs(weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.concatenate([weights, [weights.sum()], region.matrix @ weights])
        sizes = np.concatenate([np.full(len(size) + 1, size.sum()), np.abs(region.matrix) @ size])
        value[np.abs(value) <= ROUNDING * sizes] = 0.0
        high = np.concatenate(
            [region.upper, [region.budget_high], [row.high for row in region.rows]]
        )
        low = np.concatenate([region.lower, [-np.inf], [row.low for row in region.rows]])
        limits = np.where(value > 0, high / value, np.where(value < 0, low / value, np.inf))
    return float(limits.min())

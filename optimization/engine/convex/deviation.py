"""Whether any portfolio keeps within its limits on deviations, by quadratic programmes.

All limits on a deviation measure with the same Σ, from different origins. A mixture of the squared
deviations over their limits is one squared deviation from a mixed origin, so the portfolio that
exceeds its limits least is found by a few programmes for DAQP; the multipliers of the last one
bound from below what any portfolio exceeds them by, and name what stands in the way.

Limits on traded and absolute weights enter by their sign patterns, those that are exceeded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.convex.instance import Cone, Instance
from optimization.engine.convex.patterns import exceeded_patterns
from optimization.engine.convex.quadratic import Face, Mask, QuadraticProgramme
from optimization.engine.convex.region import Region, Row
from optimization.engine.covariance import Covariance
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

ALLOWED = 1e-9
"""Relative excess over a limit that is rounding."""

ROUNDING = 1e-11
"""A reduced cost this small beside the gradient is rounding."""

NOTHING = 1e-9
"""Limits below this share of a typical deviation count as this share: nothing is no unit."""

PATTERNS, MIXTURES = 60, 40


@dataclass(frozen=True)
class Mixed:
    """The portfolio with the least mixture of squared deviations from several origins.

    Attributes:
        weights: Shape (n,).
        parts: How much each squared deviation counts in the mixture, shape (k,), summing to 1.
        variances: The squared deviations, shape (k,).
        distance: No portfolio has a mixture that is smaller by more, at least 0.
        used: Request fields of the limits on trades and the rows that hold it there.
        pressed: What bounds hold it: negative at a smallest weight, shape (n,).
        budget: Multiplier of the budget, negative where weights would rather sum to less.
    """

    weights: FloatArray
    parts: FloatArray
    variances: FloatArray
    distance: float
    used: tuple[tuple[str, bool], ...]
    pressed: FloatArray
    budget: float


@dataclass(frozen=True)
class Nearest:
    """A mixture's portfolio beside limits on the deviations.

    Attributes:
        mixed: The portfolio.
        limits: The squared limits, shape (k,).
    """

    mixed: Mixed
    limits: FloatArray

    @property
    def excess(self) -> float:
        """The largest of its squared deviations over their squared limits; up to 1 is within."""
        return float((self.mixed.variances / self.limits).max())

    @property
    def bound(self) -> float:
        """No portfolio has a smaller ``excess``."""
        mixed, total = self.mixed, float(self.mixed.parts @ self.limits)
        return (float(mixed.parts @ mixed.variances) - mixed.distance) / total

    @property
    def is_within(self) -> bool:
        """Whether it keeps every limit."""
        return self.excess <= 1.0 + ALLOWED

    @property
    def is_proof(self) -> bool:
        """Whether no portfolio keeps every limit."""
        return self.bound > 1.0 + ALLOWED

    @property
    def is_decided(self) -> bool:
        """Whether it tells if any portfolio keeps every limit."""
        return self.is_within or self.is_proof


Stop = Callable[[Nearest], bool]


@dataclass(frozen=True)
class _Balance:
    """What is to vanish between two mixtures: constant + factors'(squared deviations)."""

    constant: float
    factors: FloatArray

    def of(self, one: Nearest) -> float:
        return self.constant + float(self.factors @ one.mixed.variances)


class Mixtures:
    """The portfolios with the least mixtures of squared deviations, for one or two limits on them.

    Args:
        covariance: Σ.
        region: Where; a region that is not empty.
        cones: The limits.
    """

    def __init__(self, covariance: Covariance, region: Region, cones: Sequence[Cone]) -> None:
        covariance = covariance.for_many()
        self.covariance = covariance
        self.region = region
        self.origins = np.array([cone.origin for cone in cones])
        self.pulls = np.array([-covariance.times(origin) for origin in self.origins])
        floor = NOTHING**2 * covariance.mean_variance
        self.limits = np.array([max(cone.limit**2, floor) for cone in cones])
        self.found: dict[float, Nearest] = {}
        self.cuts: list[Row] = []
        self.programme = self._within(None)

    def match(self, instance: Instance) -> bool:
        """Whether they are of all the limits and the very region of an instance."""
        return self.region is instance.region and len(self.origins) == len(instance.deviations)

    def nearest(self, guess: float | None = None) -> Nearest:
        """The portfolio that exceeds its limits least, or a proof that none keeps them all.

        Args:
            guess: How much the second squared deviation may count there.

        Raises:
            SolverFailureError: DAQP stopped, or sign patterns came without end.
        """
        for one in self.found.values():
            if one.is_decided:
                return one
        if len(self.origins) == 1:
            return self._at(0.0, _is_proof)
        if guess is not None and (found := self._at(guess, _is_proof)).is_decided:
            return found
        equal = _Balance(0.0, np.array([-1.0, 1.0]) / self.limits)
        return self._between(equal, lambda one: one.is_decided, _is_proof)

    def allow(self, which: int) -> bool:
        """Whether some portfolio keeps one of the limits.

        Raises:
            SolverFailureError: DAQP stopped, or sign patterns came without end.
        """
        part = float(which if len(self.origins) > 1 else 0)
        variance = float(self._at(part, _never).mixed.variances[which])
        return variance <= float(self.limits[which]) * (1.0 + ALLOWED)

    def least(self, which: int) -> FloatArray | None:
        """The portfolio of the least deviation of one kind that keeps the limit on the other's.

        Returns:
            Weights, shape (n,), or None where nothing keeps the other's limit.

        Raises:
            SolverFailureError: DAQP stopped, or sign patterns came without end.
        """
        alone = self._at(float(which), _never)
        if len(self.origins) == 1:
            return alone.mixed.weights
        factors, sign = np.zeros(2), 1.0 if which else -1.0
        factors[1 - which] = -sign / self.limits[1 - which]
        spare = _Balance(sign, factors)
        if sign * spare.of(alone) >= 0:
            return alone.mixed.weights
        if sign * spare.of(self._at(1.0 - which, _never)) < -2.0 * ALLOWED:
            return None
        met = self._between(spare, lambda one: abs(spare.of(one)) <= ALLOWED, _never)
        return met.mixed.weights

    def _between(self, balance: _Balance, is_done: Stop, is_enough: Stop) -> Nearest:
        """The mixture at which a balance vanishes that falls with the second part.

        As long as the same limits hold, weights move along a line, and the balance is quadratic.
        """
        for part in (0.0, 1.0):
            one = self._at(part, is_enough)
            if is_done(one):
                return one
        for step in range(MIXTURES):
            path = sorted(self.found.items())
            left = max((part for part, one in path if balance.of(one) > 0), default=0.0)
            right = min((part for part, one in path if balance.of(one) <= 0), default=1.0)
            if right - left <= ALLOWED:
                break
            inside = 0.5
            if step % 3 < 2:  # where a line ends too soon, halving leaves it behind
                inside = self._crossing(self.found[left], self.found[right], balance)
            one = self._at(left + inside * (right - left), is_enough)
            if is_done(one):
                break
        return one

    def _crossing(self, left: Nearest, right: Nearest, balance: _Balance) -> float:
        """How far from one portfolio towards another the balance vanishes on the way."""
        start, step = left.mixed.weights, right.mixed.weights - left.mixed.weights
        along = self.covariance.times(step)
        curve = float(balance.factors.sum()) * float(step @ along)
        slope = float(balance.factors @ ((start - self.origins) @ along))
        # Of value + 2·slope·t + curve·t² the root between 0 and 1, free of cancellation.
        value = balance.of(left)
        pivot = -(slope + np.copysign(np.sqrt(max(slope**2 - curve * value, 0.0)), slope))
        roots = [over / under for over, under in ((value, pivot), (pivot, curve)) if under]
        return next((float(root) for root in roots if 0.0 < root < 1.0), 0.5)

    def _at(self, part: float, is_enough: Stop) -> Nearest:
        """The least of the mixture in which the second squared deviation counts so much.

        What ``is_enough`` with fewer rows than the limits on trades need is not kept.

        Raises:
            SolverFailureError: DAQP stopped, or sign patterns came without end.
        """
        if part in self.found:
            return self.found[part]
        parts = np.array([1.0 - part, part])[: len(self.origins)]
        linear = parts @ self.pulls
        for _ in range(PATTERNS):
            mixed = self._read(self.programme.solve(linear), parts, linear)
            found = Nearest(mixed, self.limits)
            exceeded = list(exceeded_patterns(self.region, mixed.weights))
            if not exceeded:
                self.found[part] = found
                return found
            if is_enough(found):
                return found
            self.cuts += exceeded
            self.programme = self._within(self.programme.working)
        raise SolverFailureError("sign patterns were generated without end")

    def _within(self, working: Mask | None) -> QuadraticProgramme:
        rows = tuple(_scaled(row) for row in (*self.region.rows, *self.cuts))
        flat = replace(self.region.without_trades(), rows=rows)
        return QuadraticProgramme(self.covariance, flat, working)

    def _read(self, face: Face, parts: FloatArray, linear: FloatArray) -> Mixed:
        programme, weights, count = self.programme, face.weights, len(face.assets)
        region, prices = programme.region, face.multipliers[count:] / programme.scale
        gradient = self.covariance.times(weights) + linear
        reduced = gradient + prices @ programme.limits.matrix
        with np.errstate(invalid="ignore"):
            ends = np.where(reduced > 0, reduced * region.lower, reduced * region.upper)
            # Where nothing limits a weight, its reduced cost is zero but for rounding.
            rounding = np.abs(reduced) <= ROUNDING * float(np.abs(gradient).max())
            ends[rounding & ~np.isfinite(ends)] = 0.0
            held = np.where(prices > 0, prices * programme.limits.high, 0.0)
            held += np.where(prices < 0, prices * programme.limits.low, 0.0)
        least = float(ends.sum()) - float(held.sum())
        pressed = -reduced
        pressed[face.assets] = face.multipliers[:count]
        rows = zip(region.rows, prices[1:].tolist(), strict=True)
        return Mixed(
            weights=weights,
            parts=parts,
            variances=np.array([self.covariance.variance(weights - o) for o in self.origins]),
            distance=max(2.0 * (float(gradient @ weights) - least), 0.0),
            used=tuple((row.field, price < 0) for row, price in rows if price),
            pressed=pressed,
            budget=float(prices[0]),
        )


class OutOfReachError(InfeasibleProblemError):
    """No portfolio keeps its limits on deviations.

    Args:
        mixtures: What proves it.
    """

    def __init__(self, mixtures: Mixtures) -> None:
        super().__init__("no portfolio satisfies every constraint", ["constraints"])
        self.mixtures = mixtures


def _is_proof(one: Nearest) -> bool:
    """What is out of reach with fewer rows is so with all of them."""
    return one.is_proof


def _never(_: Nearest) -> bool:
    return False


def _scaled(row: Row) -> Row:
    """The same row with a largest coefficient of one: DAQP's tolerances are absolute."""
    unit = float(np.abs(row.coefficients).max()) or 1.0
    return replace(
        row, coefficients=row.coefficients / unit, low=row.low / unit, high=row.high / unit
    )

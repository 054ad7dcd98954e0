"""Whether any portfolio keeps within its limits on deviations, by quadratic programmes.

All limits on a deviation measure with the same Σ, from different origins. A mixture of the squared
deviations over their limits is one squared deviation from a mixed origin, so the portfolio that
exceeds its limits least is found by a few programmes for DAQP; the multipliers of the last one
bound from below what any portfolio exceeds them by, and name what stands in the way.

Limits on traded and absolute weights enter by their sign patterns, those that are exceeded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.convex.quadratic import Face, QuadraticProgramme
from optimization.engine.convex.region import TARGET_RETURN, Region, Row
from optimization.engine.errors import SolverFailureError
from optimization.engine.moments import Covariance
from optimization.engine.problem import FloatArray

Cone = tuple[str, float, FloatArray]
"""Request field, limit and origin of a limit on a deviation."""

ALLOWED = 1e-9
"""Relative excess over a limit that is rounding."""

NOTHING = 1e-9
"""Limits below this share of a typical deviation count as this share: nothing is no unit."""

PATTERNS, MIXTURES = 60, 40


@dataclass(frozen=True)
class Nearest:
    """The portfolio that exceeds its limits on deviations least.

    Attributes:
        weights: Shape (n,).
        excess: The largest of its squared deviations over their squared limits; up to 1 is within.
        bound: No portfolio has a smaller ``excess``; above 1 none is within every limit.
        shares: Weight of each limit in the mixture, summing to 1.
        used: Request fields of the limits on trades and the rows that hold it there.
        pressed: What bounds hold it: negative at a smallest weight, shape (n,).
        budget: Multiplier of the budget, negative where weights would rather sum to less.
    """

    weights: FloatArray
    excess: float
    bound: float
    shares: FloatArray
    used: tuple[tuple[str, bool], ...]
    pressed: FloatArray
    budget: float

    @property
    def is_within(self) -> bool:
        """Whether it keeps every limit."""
        return self.excess <= 1.0 + ALLOWED

    @property
    def is_proof(self) -> bool:
        """Whether no portfolio keeps every limit."""
        return self.bound > 1.0 + ALLOWED


def nearest_within(covariance: Covariance, region: Region, cones: Sequence[Cone]) -> Nearest:
    """The portfolio of a region that exceeds its limits on deviations least.

    Args:
        covariance: Σ.
        region: Where; a region that is not empty.
        cones: One or two limits.

    Raises:
        SolverFailureError: DAQP stopped without an answer.
    """
    mixtures = _Mixtures(covariance, region, cones)
    if len(cones) == 1:
        return mixtures.at(np.ones(1))

    def difference(found: Nearest) -> float:
        first, second = np.sqrt(mixtures.squares(found.weights))
        return float(second - first)

    return _between(mixtures, difference, lambda found: found.is_within or found.is_proof)


def least_beside(
    covariance: Covariance, region: Region, cone: Cone, other: Cone
) -> FloatArray | None:
    """The portfolio of the least deviation of one kind among those that keep the other's limit.

    Returns:
        Weights, shape (n,), or None where nothing keeps the other's limit.

    Raises:
        SolverFailureError: DAQP stopped without an answer.
    """
    mixtures = _Mixtures(covariance, region, (other, cone))

    def spare(found: Nearest) -> float:
        return 1.0 - float(np.sqrt(mixtures.squares(found.weights)[0]))

    alone = mixtures.at(np.array([0.0, 1.0]))
    if spare(alone) >= 0:
        return alone.weights
    if spare(mixtures.at(np.array([1.0, 0.0]))) < -ALLOWED:
        return None
    return _between(mixtures, spare, lambda found: abs(spare(found)) <= ALLOWED).weights


def _between(
    mixtures: "_Mixtures",
    excess: Callable[[Nearest], float],
    is_done: Callable[[Nearest], bool],
) -> Nearest:
    """The mixture at which a figure that falls with its second part vanishes (Illinois method)."""
    ends, values = [0.0, 1.0], list[float]()
    for end in ends:
        found = mixtures.at(np.array([1.0 - end, end]))
        values.append(excess(found))
        if is_done(found):
            return found
    best, kept = found, -1
    for _ in range(MIXTURES):
        if ends[1] - ends[0] <= ALLOWED or values[0] == values[1]:
            break
        part = (ends[0] * values[1] - ends[1] * values[0]) / (values[1] - values[0])
        best = mixtures.at(np.array([1.0 - part, part]))
        value = excess(best)
        if is_done(best):
            break
        side = int((value > 0) != (values[0] > 0))
        ends[side], values[side] = part, value
        if kept == side:
            values[1 - side] *= 0.5
        kept = side
    return best


class _Mixtures:
    """The least mixture of squared deviations over their limits, for any shares."""

    def __init__(self, covariance: Covariance, region: Region, cones: Sequence[Cone]) -> None:
        self.covariance = covariance
        self.region = region
        self.origins = np.array([origin for _, _, origin in cones])
        floor = NOTHING * float(np.sqrt(covariance.mean_variance))
        self.limits = np.array([max(limit, floor) for _, limit, _ in cones])
        self.cuts: list[Row] = []

    def squares(self, weights: FloatArray) -> FloatArray:
        """Squared deviations over their squared limits, one for each limit."""
        away = [self.covariance.variance(weights - origin) for origin in self.origins]
        return np.asarray(np.array(away) / self.limits**2)

    def at(self, parts: FloatArray) -> Nearest:
        """The least of one mixture of squared deviations, which sum to one in it.

        Raises:
            SolverFailureError: DAQP stopped, or sign patterns came without end.
        """
        origin = parts @ self.origins
        linear, everything = -self.covariance.times(origin), np.arange(len(origin))
        for _ in range(PATTERNS):
            rows = tuple(_scaled(row) for row in (*self.region.rows, *self.cuts))
            flat = replace(self.region.without_trades(), rows=rows)
            programme = QuadraticProgramme(self.covariance, flat)
            face = programme.solve_over(everything, linear)
            nearest = self._read(programme, face, parts, linear)
            exceeded = list(exceeded_patterns(self.region, face.weights))
            # What is out of reach with fewer rows is so with all of them.
            if not exceeded or nearest.is_proof:
                return nearest
            self.cuts += exceeded
        raise SolverFailureError("sign patterns were generated without end")

    def _read(
        self, programme: QuadraticProgramme, face: Face, parts: FloatArray, linear: FloatArray
    ) -> Nearest:
        region, weights, n = programme.region, face.weights, len(face.weights)
        prices = face.multipliers[n:] / programme.scale
        gradient = self.covariance.times(weights) + linear
        reduced = gradient + prices @ programme.limits.matrix
        squares, total = self.squares(weights), float(parts @ self.limits**2)
        shares = parts * self.limits**2 / total
        with np.errstate(invalid="ignore"):
            ends = np.where(reduced > 0, reduced * region.lower, reduced * region.upper)
            held = np.where(prices > 0, prices * programme.limits.high, 0.0)
            held += np.where(prices < 0, prices * programme.limits.low, 0.0)
        least = float(np.where(reduced != 0, ends, 0.0).sum()) - float(held.sum())
        # From half the squared deviation to the mixture in units of the limits.
        distance = (
            2.0 * (float(gradient @ weights) - least) * float((shares / self.limits**2).sum())
        )
        rows = zip(region.rows, prices[1:].tolist(), strict=True)
        return Nearest(
            weights=weights,
            excess=float(squares.max()),
            bound=float(shares @ squares) - max(distance, 0.0),
            shares=shares,
            used=tuple((row.field, price < 0) for row, price in rows if price),
            pressed=face.multipliers[:n],
            budget=float(prices[0]),
        )


def _scaled(row: Row) -> Row:
    """The same row with a largest coefficient of one: DAQP's tolerances are absolute."""
    unit = float(np.abs(row.coefficients).max()) or 1.0
    return replace(
        row, coefficients=row.coefficients / unit, low=row.low / unit, high=row.high / unit
    )


def exceeded_patterns(region: Region, weights: FloatArray) -> Iterator[Row]:
    """Rows that cut off weights which trade or borrow too much, or earn too little net of costs."""
    signs = _signs(weights - region.current, region, region.current)
    traded = float(np.abs(weights - region.current).sum())
    if traded > region.turnover + ALLOWED:
        limit = region.turnover + float(signs @ region.current)
        yield Row("constraints.max_turnover", "the turnover", signs, -np.inf, limit)
    if float(np.abs(weights).sum()) > region.leverage + ALLOWED:
        sides = _signs(weights, region, np.zeros(len(weights)))
        yield Row("constraints.max_leverage", "the leverage", sides, -np.inf, region.leverage)
    if not region.has_costs:
        return
    for row in region.rows:
        net = float(row.coefficients @ weights) - region.cost(weights)
        if row.field == TARGET_RETURN and net < row.low - ALLOWED * row.unit:
            charged = signs * region.costs
            low = row.low - float(charged @ region.current)
            yield replace(row, coefficients=row.coefficients - charged, low=low)


def _signs(away: FloatArray, region: Region, origin: FloatArray) -> FloatArray:
    """Signs of what is away from an origin, by the bounds where those allow but one."""
    signs = np.where(region.lower >= origin, 1.0, np.sign(away))
    return np.asarray(np.where(region.upper <= origin, -1.0, signs))

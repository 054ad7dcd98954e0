"""Conic programmes: Clarabel to the neighbourhood of the optimum, Newton's method the rest.

An interior point stops where rounding stops it, at a distance that depends on the data and on the
processor. What it knows by then is which constraints hold with equality. On those the optimality
conditions are a smooth system of equations, and a few Newton steps solve it to the last digit.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import clarabel
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import linalg

from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray

DUALITIES = (1.0, 1e3, 1e-3)
"""A constraint holds with equality if its slack is below this multiple of its multiplier."""

NEWTON_STEPS = 8
REFINEMENTS = 4
PROXIMAL = 1e-9
"""Keeps the system regular where constraints repeat each other; refined away."""

EXACT = 1e-14
INFEASIBLE = frozenset({"PrimalInfeasible", "AlmostPrimalInfeasible"})
WITHOUT_POINT = frozenset({"DualInfeasible", "AlmostDualInfeasible", "Unsolved"})


@dataclass(frozen=True)
class ConicProgramme:
    """Minimise ½x'Px + q'x with b − Ax in a product of cones, in this order.

    Attributes:
        quadratic: P, shape (d, d).
        linear: q, shape (d,).
        matrix: A, shape (m, d).
        limits: b, shape (m,).
        zero: Rows that are equations.
        nonnegative: Rows that are inequalities.
        cones: Sizes of the second-order cones.
    """

    quadratic: Any
    linear: FloatArray
    matrix: Any
    limits: FloatArray
    zero: int
    nonnegative: int
    cones: tuple[int, ...]

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The rows of every second-order cone."""
        ends = self.zero + self.nonnegative + np.cumsum([0, *self.cones])
        return tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends))

    def slack(self, x: FloatArray) -> FloatArray:
        """How far each row is from its limit, b − Ax, shape (m,)."""
        return np.asarray(self.limits - self.matrix @ x)


@dataclass(frozen=True)
class ConicPoint:
    """A primal and a dual point of a conic programme.

    Attributes:
        x: Shape (d,).
        z: Multipliers of the rows, shape (m,).
    """

    x: FloatArray
    z: FloatArray


def read_data(data: Any) -> ConicProgramme:
    """The programme in what CVXPY compiled for Clarabel."""
    dims, linear = data["dims"], np.asarray(data["c"], dtype=np.float64)
    empty = sparse.csr_array((len(linear), len(linear)))
    return ConicProgramme(
        quadratic=sparse.csr_array(data["P"]) if "P" in data else empty,
        linear=linear,
        matrix=sparse.csr_array(data["A"]),
        limits=np.asarray(data["b"], dtype=np.float64),
        zero=dims.zero,
        nonnegative=dims.nonneg,
        cones=tuple(dims.soc),
    )


def interior_point(programme: ConicProgramme, tolerance: float, equilibrate: bool) -> ConicPoint:
    """Where Clarabel stops on the way to the optimum; the caller judges how near that is.

    Raises:
        InfeasibleProblemError: Clarabel has a proof that no point satisfies the constraints.
        SolverFailureError: It has no point to offer.
    """
    settings: Any = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.equilibrate_enable = equilibrate
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    makers: Any = clarabel
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(sparse.triu(programme.quadratic)),
        programme.linear,
        sparse.csc_matrix(programme.matrix),
        programme.limits,
        [
            makers.ZeroConeT(programme.zero),
            makers.NonnegativeConeT(programme.nonnegative),
            *(makers.SecondOrderConeT(size) for size in programme.cones),
        ],
        settings,
    ).solve()
    status, x, z = str(solution.status), np.array(solution.x), np.array(solution.z)
    if status in INFEASIBLE:
        raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    if status in WITHOUT_POINT or not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise SolverFailureError("the conic solver found no point near the optimum")
    return ConicPoint(x, z)


def residual(programme: ConicProgramme, point: ConicPoint) -> float:
    """Largest violation of the optimality conditions, in the programme's own units."""
    slack, z, first = programme.slack(point.x), point.z, programme.zero
    last = first + programme.nonnegative
    worst = [
        *np.abs(programme.quadratic @ point.x + programme.linear + programme.matrix.T @ z),
        *np.abs(slack[:first]),
        # Negative slack, negative multiplier, or both positive: each shows in the smaller one.
        *np.abs(np.minimum(slack[first:last], z[first:last])),
    ]
    for block in programme.blocks:
        inside, outside = slack[block], z[block]
        worst += [
            float(np.linalg.norm(inside[1:])) - inside[0],
            float(np.linalg.norm(outside[1:])) - outside[0],
            abs(float(inside @ outside)),
        ]
    return float(max(worst, default=0.0))


def polish(programme: ConicProgramme, point: ConicPoint) -> ConicPoint:
    """The point after Newton's method on the constraints that hold with equality, if nearer."""
    best, least = point, residual(programme, point)
    for duality in DUALITIES:
        active = _Active.of(programme, point, duality)
        moved, error = point, np.inf
        for _ in range(NEWTON_STEPS):
            try:
                moved = active.newton(moved)
            except (RuntimeError, ValueError):  # SuperLU met a singular system
                break
            if not (np.isfinite(moved.x).all() and np.isfinite(moved.z).all()):
                break
            before, error = error, residual(programme, moved)
            if error < least:
                best, least = moved, error
            if error >= before or least <= EXACT:
                break
        if least <= EXACT:
            break
    return best


@dataclass
class _Active:
    """The constraints that hold with equality.

    Attributes:
        programme: The whole programme.
        rows: Rows that are equations, shape (k,).
        curved: Second-order cones whose boundary holds the optimum.
    """

    programme: ConicProgramme
    rows: npt.NDArray[np.intp]
    curved: Sequence[slice] = field(default_factory=tuple)

    @classmethod
    def of(cls, programme: ConicProgramme, point: ConicPoint, duality: float) -> "_Active":
        slack, z = programme.slack(point.x), point.z
        first, last = programme.zero, programme.zero + programme.nonnegative
        holds = np.zeros(len(z), dtype=np.bool_)
        holds[:first] = True
        holds[first:last] = slack[first:last] < duality * z[first:last]
        curved = []
        for block in programme.blocks:
            inside, outside = slack[block], z[block]
            room = inside[0] - float(np.linalg.norm(inside[1:]))
            spare = outside[0] - float(np.linalg.norm(outside[1:]))
            if spare > inside[0]:  # the optimum is at the cone's apex
                holds[block] = True
            elif room < duality * outside[0]:
                curved.append(block)
        return cls(programme, np.flatnonzero(holds), curved)

    def newton(self, point: ConicPoint) -> ConicPoint:
        """One Newton step on the optimality conditions under these equations."""
        programme, rows = self.programme, self.rows
        slack = programme.slack(point.x)
        hessian, normals, errors = programme.quadratic, [programme.matrix[rows]], [slack[rows]]
        multipliers = [point.z[rows]]
        for block in self.curved:
            inside, matrix = slack[block], programme.matrix[block]
            norm, outside = float(np.linalg.norm(inside[1:])), matrix[1:]
            toward = inside[1:] / norm
            along = outside.T @ toward
            normal = sparse.csr_array((matrix[0].toarray().ravel() - along)[np.newaxis])
            price = float(point.z[block.start])
            bend = outside.T @ outside - sparse.csr_array(np.outer(along, along))
            hessian = hessian + (price / norm) * bend
            normals.append(normal)
            errors.append(np.array([inside[0] - norm]))
            multipliers.append(np.array([price]))
        matrix = sparse.vstack(normals).tocsr()
        prices = np.concatenate(multipliers)
        gradient = programme.quadratic @ point.x + programme.linear + matrix.T @ prices
        step = _solve_saddle(hessian, matrix, np.concatenate([-gradient, *errors]))
        d, k = len(point.x), len(rows)
        x, prices = point.x + step[:d], prices + step[d:]
        z = np.zeros_like(point.z)
        z[rows] = prices[:k]
        slack = programme.slack(x)
        for block, value in zip(self.curved, prices[k:], strict=True):
            inside = slack[block][1:]
            z[block] = value * np.concatenate([[1.0], -inside / float(np.linalg.norm(inside))])
        return ConicPoint(x, z)


def _solve_saddle(hessian: Any, normals: Any, right: FloatArray) -> FloatArray:
    """Solve [H N'; N 0]·step = right, whatever its rank, as far as it can be solved."""
    d, k = hessian.shape[0], normals.shape[0]
    system = sparse.block_array([[hessian, normals.T], [normals, None]]).tocsr()
    shift = sparse.diags_array(np.concatenate([np.full(d, PROXIMAL), np.full(k, -PROXIMAL)]))
    factors = linalg.splu((system + shift).tocsc())
    step = factors.solve(right)
    for _ in range(REFINEMENTS):
        step = step + factors.solve(right - system @ step)
    return np.asarray(step)

"""The general path: every constraint in CVXPY, solved by Clarabel."""

import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np

from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.region import TARGET_RETURN, Region
from optimization.engine.errors import InfeasibleProblemError, SolverFailureError
from optimization.engine.problem import FloatArray, Objective

cp: Any = cvxpy  # its functions are assembled at import, out of a type checker's sight

NAME = "cvxpy/clarabel"
TOLERANCES = (1e-12, 1e-10, 1e-8)
"""Tried in turn: a problem that cannot reach the first is still solved, and certified for less."""

USABLE = frozenset({cp.OPTIMAL, cp.OPTIMAL_INACCURATE})


@dataclass(frozen=True)
class GeneralOutcome:
    """Weights from the general path with what certifies them."""

    weights: FloatArray
    evidence: Evidence


@dataclass(frozen=True)
class _Form:
    """A problem in homogeneous coordinates: y = κw, with κ = 1 unless a ratio is maximised."""

    weights: Any
    scale: Any
    cost: Any
    constraints: list[Any]


def solve_general(instance: Instance) -> GeneralOutcome:
    """Solve any of the convex objectives under any of the convex constraints.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        SolverFailureError: Clarabel stopped without an answer.
    """
    build = _BUILDERS[instance.objective]
    form = _form(instance, homogeneous=build in (_sharpe, _sortino))
    objective, extra, tail = build(instance, form)
    _solve(cp.Problem(cp.Minimize(objective), form.constraints + extra))
    scale = form.scale if isinstance(form.scale, float) else float(form.scale.value)
    weights = np.asarray(form.weights.value, dtype=np.float64) / scale
    share = None if tail is None else np.asarray(tail.dual_value, dtype=np.float64)
    return GeneralOutcome(weights, Evidence(scenario_weights=share))


def cone_multipliers(
    instance: Instance, gradient: FloatArray, cost_weight: float
) -> dict[str, float]:
    """Multipliers of the limits on a deviation when gradient'w (+ costs) is minimised.

    Raises:
        SolverFailureError: Clarabel stopped without an answer.
    """
    form = _form(instance, homogeneous=False, with_cones=False)
    scale = float(np.abs(gradient).max()) or 1.0
    root = instance.covariance.root()
    cones = {
        name: cp.norm(root @ (form.weights - origin) / limit, 2) <= 1.0
        for name, limit, origin in instance.cones
    }
    linear = (gradient / scale) @ form.weights + (
        cost_weight * instance.return_scale / scale
    ) * form.cost
    _solve(cp.Problem(cp.Minimize(linear), [*form.constraints, *cones.values()]))
    limits = {name: limit for name, limit, _ in instance.cones}
    return {
        name: float(np.asarray(cone.dual_value).item()) * scale / limits[name]
        for name, cone in cones.items()
    }


def least_deviation(instance: Instance, origin: FloatArray) -> float:
    """The smallest standard deviation of w − origin that the polyhedral constraints allow.

    Raises:
        SolverFailureError: Clarabel stopped without an answer.
    """
    form = _form(instance, homogeneous=False, with_cones=False)
    root = instance.covariance.root() / np.sqrt(instance.variance_scale)
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(root @ (form.weights - origin))), form.constraints
    )
    _solve(problem)
    return float(np.sqrt(max(problem.value, 0.0) * instance.variance_scale))


def _solve(problem: Any) -> None:
    """Solve at the tightest tolerance that Clarabel reaches."""
    for tolerance in TOLERANCES:
        options = {f"tol_{name}": tolerance for name in ("gap_abs", "gap_rel", "feas")}
        with warnings.catch_warnings():
            # An inaccurate solution is judged by its certificate, not by a warning.
            warnings.simplefilter("ignore")
            try:
                problem.solve(solver=cp.CLARABEL, max_threads=1, **options)
            except cp.SolverError:
                continue
        if problem.status in USABLE:
            return
        if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
            raise InfeasibleProblemError("no portfolio satisfies every constraint", ["constraints"])
    raise SolverFailureError(f"the general solver stopped with status {problem.status}")


def _form(instance: Instance, *, homogeneous: bool, with_cones: bool = True) -> _Form:
    region, n = instance.region, instance.region.n_assets
    y = cp.Variable(n)
    scale: Any = cp.Variable(nonneg=True) if homogeneous else 1.0
    total = cp.sum(y)
    constraints = [y >= scale * region.lower, y <= scale * region.upper]
    if region.budget_low == region.budget_high:
        constraints.append(total == scale * region.budget_high)
    else:
        constraints.append(total <= scale * region.budget_high)
        if np.isfinite(region.budget_low):
            constraints.append(total >= scale * region.budget_low)
    traded = cp.abs(y - scale * region.current)
    # Costs are counted in units of a typical return, as everything else in the objective is.
    cost = (region.costs / instance.return_scale) @ traded if region.has_costs else 0.0
    constraints += _rows(region, instance, y, scale, cost)
    if np.isfinite(region.turnover):
        constraints.append(cp.sum(traded) <= scale * region.turnover)
    if np.isfinite(region.leverage):
        constraints.append(cp.norm1(y) <= scale * region.leverage)
    if with_cones and instance.cones:
        root = instance.covariance.root()
        constraints += [
            cp.norm(root @ (y - scale * origin) / limit, 2) <= scale
            for _, limit, origin in instance.cones
        ]
    return _Form(y, scale, cost, constraints)


def _rows(region: Region, instance: Instance, y: Any, scale: Any, cost: Any) -> list[Any]:
    constraints = []
    for row in region.rows:
        unit = instance.return_scale if row.field == TARGET_RETURN else 1.0
        value = (row.coefficients / unit) @ y
        if row.field == TARGET_RETURN:
            value = value - cost
        if np.isfinite(row.low):
            constraints.append(value >= scale * (row.low / unit))
        if np.isfinite(row.high):
            constraints.append(value <= scale * (row.high / unit))
    return constraints


Built = tuple[Any, list[Any], Any]
"""Objective, further constraints, and the constraint whose dual weights the scenarios (or None)."""


def _variance(instance: Instance, form: _Form) -> Built:
    root = instance.covariance.root() / np.sqrt(instance.variance_scale)
    return cp.sum_squares(root @ form.weights), [], None


def _return(instance: Instance, form: _Form) -> Built:
    return form.cost - (instance.mean / instance.return_scale) @ form.weights, [], None


def _net(instance: Instance, form: _Form) -> Any:
    return (instance.excess / instance.return_scale) @ form.weights - form.cost


def _cvar(instance: Instance, form: _Form) -> Built:
    periods = instance.excess.shape[0]
    level, beyond = cp.Variable(), cp.Variable(periods, nonneg=True)
    tail = beyond >= -_net(instance, form) - level
    return level + cp.sum(beyond) / (instance.tail * periods), [tail], tail


def _sharpe(instance: Instance, form: _Form) -> Built:
    root = instance.covariance.root() / np.sqrt(instance.variance_scale)
    return cp.sum_squares(root @ form.weights), [_unit_excess(instance, form)], None


def _sortino(instance: Instance, form: _Form) -> Built:
    shortfall = cp.Variable(instance.excess.shape[0], nonneg=True)
    periods = np.sqrt(instance.excess.shape[0])
    below = shortfall >= -_net(instance, form) / periods
    return cp.sum_squares(shortfall), [below, _unit_excess(instance, form)], None


def _unit_excess(instance: Instance, form: _Form) -> Any:
    """Excess return of one, net of costs: the normalisation that makes a ratio convex."""
    unit = float(np.abs(instance.mean).max()) or 1.0
    return (instance.mean / unit) @ form.weights - form.cost * (instance.return_scale / unit) >= 1.0


_BUILDERS = {
    Objective.MINIMIZE_VARIANCE: _variance,
    Objective.MAXIMIZE_RETURN: _return,
    Objective.MINIMIZE_CVAR: _cvar,
    Objective.MAXIMIZE_SHARPE: _sharpe,
    Objective.MAXIMIZE_SORTINO: _sortino,
}

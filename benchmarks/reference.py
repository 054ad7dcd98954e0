"""The convex problems written out a second time, for CVXPY alone: an independent opinion.

Shares no code with the engine but the values that describe a problem. Interior points at their
ordinary tolerance: good to about 1e-6 of the objective.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy
import numpy as np
from sklearn.covariance import LedoitWolf

from optimization.engine import Objective, Problem
from optimization.engine.objectives import RATIOS
from optimization.engine.problem import FloatArray

cp: Any = cvxpy

YEAR = 252

ROUNDING = 1e-12
"""A shrinkage this small is none."""


@dataclass(frozen=True)
class Model:
    """A problem's numbers in units of a typical return.

    Attributes:
        problem: What was asked.
        unit: The typical return per period.
        excess: Returns over the risk-free rate, in that unit, shape (T, n).
        root: G with G'G = Σ in that unit.
        costs: Cost per unit traded and period, in that unit, shape (n,).
        current: Weights held now, shape (n,).
    """

    problem: Problem
    unit: float
    excess: FloatArray
    root: FloatArray
    costs: FloatArray
    current: FloatArray

    @classmethod
    def of(cls, problem: Problem) -> "Model":
        excess = problem.returns - problem.risk_free_rate / YEAR
        unit = float(np.sqrt((excess**2).mean())) or 1.0
        periods, n = excess.shape
        scaled = excess / unit
        centred = scaled - scaled.mean(axis=0)
        root = centred / np.sqrt(periods - 1)
        if periods < 2 * n:
            shrunk = LedoitWolf().fit(scaled)
            share = max(float(np.nan_to_num(shrunk.shrinkage_)), 0.0)
            share = share if share > ROUNDING else 0.0  # of two periods it is exactly zero
            sample = centred * np.sqrt((1 - share) / periods)
            ridge = np.sqrt(share * float((centred**2).sum()) / (periods * n))
            root = np.vstack([sample, ridge * np.eye(n)])
        elif periods > n:
            root = np.linalg.qr(root)[1]
        fee = problem.constraints.transaction_costs
        costs = vector(problem, fee) if isinstance(fee, dict) else np.full(n, float(fee))  # type: ignore[arg-type]
        current = vector(problem, dict(problem.constraints.current_weights or {}))
        return cls(problem, unit, excess / unit, root, costs / (YEAR * unit), current)

    def cost(self, weights: FloatArray) -> float:
        """The objective of a portfolio as a cost per period, in the model's units."""
        problem, tail = self.problem, self.problem.constraints.cvar_confidence
        gross = self.excess @ weights
        net = gross - float(self.costs @ np.abs(weights - self.current))
        gain, deviation = float(net.mean()), float(np.linalg.norm(self.root @ weights))
        short = float(np.sqrt((np.minimum(net, 0.0) ** 2).mean()))
        apart = float(np.linalg.norm(self.root, axis=0) @ weights)
        total = np.cumsum(net + problem.risk_free_rate / YEAR / self.unit)
        falls = np.maximum(np.maximum.accumulate(total), 0.0) - total
        aversion = problem.risk_aversion / 2 * self.unit
        return {
            Objective.MINIMIZE_VARIANCE: lambda: deviation**2,
            Objective.MAXIMIZE_RETURN: lambda: -gain,
            Objective.MINIMIZE_CVAR: lambda: _tail_mean(-net, tail),
            Objective.MAXIMIZE_SHARPE: lambda: _ratio(-gain, deviation),
            Objective.MAXIMIZE_DIVERSIFICATION: lambda: _ratio(-apart, deviation),
            Objective.MAXIMIZE_SORTINO: lambda: _ratio(-gain, short),
            Objective.MAXIMIZE_UTILITY: lambda: aversion * deviation**2 - gain,
            Objective.MINIMIZE_MAD: lambda: float(np.abs(gross - gross.mean()).mean()),
            Objective.MINIMIZE_CDAR: lambda: _tail_mean(falls, tail),
            Objective.MINIMIZE_MAX_DRAWDOWN: lambda: _tail_mean(falls, 0.0),
        }[problem.objective]()


def _ratio(numerator: float, denominator: float) -> float:
    """A quotient; endless, or nothing, where the denominator vanishes."""
    if denominator:
        return numerator / denominator
    return float(np.copysign(np.inf, numerator)) if numerator else 0.0


def _tail_mean(losses: FloatArray, tail: float) -> float:
    count = max(tail * len(losses), 1.0)
    ordered, whole = np.sort(losses)[::-1], int(np.floor(count + 1e-9))
    rest = (count - whole) * ordered[whole] if whole < len(ordered) else 0.0
    return float((ordered[:whole].sum() + rest) / count)


def vector(problem: Problem, weights: dict[str, float]) -> FloatArray:
    """A mapping from symbols to numbers as an array."""
    return np.array([weights.get(symbol, 0.0) for symbol in problem.symbols])


def constrain(model: Model, y: Any, scale: Any) -> tuple[list[Any], Any]:
    """Every constraint on y = scale · weights, and the cost of trading."""
    problem, constraints = model.problem, model.problem.constraints
    traded = cp.abs(y - scale * model.current)
    cost = model.costs @ traded
    bounds = [constraints.bounds_of(symbol) for symbol in problem.symbols]
    low, high = np.array(bounds).T
    held = [y >= scale * low, y <= scale * high]
    held.append(cp.sum(y) == scale if constraints.sum_to_one else cp.sum(y) <= scale)
    for group in constraints.groups:
        total = vector(problem, dict.fromkeys(group.symbols, 1.0)) @ y
        if group.min_weight is not None:
            held.append(total >= scale * group.min_weight)
        if group.max_weight is not None:
            held.append(total <= scale * group.max_weight)
    if constraints.max_turnover is not None:
        held.append(cp.sum(traded) <= scale * constraints.max_turnover)
    if constraints.max_leverage is not None:
        held.append(cp.norm1(y) <= scale * constraints.max_leverage)
    if constraints.target_return is not None:
        target = (constraints.target_return - problem.risk_free_rate) / (YEAR * model.unit)
        # Divided by its own size, so that an absolute tolerance means something.
        size = max(float(np.abs(model.excess.mean(axis=0)).max()), 1e-12)
        held.append((model.excess.mean(axis=0) @ y - cost) / size >= scale * (target / size))
    for limit, origin in (
        (constraints.target_volatility, {}),
        (constraints.max_tracking_error, dict(constraints.benchmark_weights or {})),
    ):
        if limit is not None:
            away = model.root @ (y - scale * vector(problem, origin))
            radius = limit / (np.sqrt(YEAR) * model.unit)
            held.append(cp.norm(away, 2) <= scale * radius)
    return held, cost


def objective_of(model: Model, y: Any, cost: Any) -> tuple[Any, list[Any]]:
    """What to minimise: the objective, or for a ratio its squared denominator."""
    objective = model.problem.objective
    gain = model.excess.mean(axis=0) @ y - cost
    risk = cp.sum_squares(model.root @ y)
    if objective in RATIOS:
        if objective == Objective.MAXIMIZE_SORTINO:
            risk = cp.sum_squares(cp.pos(cost - model.excess @ y)) / len(model.excess)
        if objective == Objective.MAXIMIZE_DIVERSIFICATION:
            gain = np.linalg.norm(model.root, axis=0) @ y
        size = float(np.abs(model.excess.mean(axis=0)).max()) or 1.0
        return risk, [gain / size >= 1]
    aversion = model.problem.risk_aversion / 2 * model.unit
    simple = {
        Objective.MINIMIZE_VARIANCE: risk,
        Objective.MAXIMIZE_RETURN: -gain,
        Objective.MAXIMIZE_UTILITY: aversion * risk - gain,
    }
    if objective in simple:
        return simple[objective], []
    return _scenarios(model, y, cost)


def _scenarios(model: Model, y: Any, cost: Any) -> tuple[Any, list[Any]]:
    """The objectives that are linear programmes over the periods."""
    problem, periods = model.problem, len(model.excess)
    tail = problem.constraints.cvar_confidence
    level = cp.Variable()
    if problem.objective == Objective.MINIMIZE_CVAR:
        beyond = cp.pos(cost - model.excess @ y - level)
        return level + cp.sum(beyond) / max(tail * periods, 1.0), []
    if problem.objective == Objective.MINIMIZE_MAD:
        spread = model.excess - model.excess.mean(axis=0)
        return cp.sum(cp.abs(spread @ y)) / periods, []
    elapsed, paid = np.arange(1, periods + 1), cp.Variable()
    held, cost = [paid >= cost], paid  # in a fall it counts once for every period between
    total = np.cumsum(model.excess, axis=0) @ y - elapsed * cost
    total = total + elapsed * (problem.risk_free_rate / YEAR / model.unit)
    peak = cp.Variable(periods, nonneg=True)
    share = tail if problem.objective == Objective.MINIMIZE_CDAR else 0.0
    beyond = cp.pos(peak - total - level)
    return level + cp.sum(beyond) / max(share * periods, 1.0), [
        *held,
        peak >= total,
        cp.diff(peak) >= 0,
    ]


def reference_weights(model: Model) -> FloatArray | None:
    """Weights by CVXPY; None if it finds no portfolio, or no end."""
    ratio = model.problem.objective in RATIOS
    y = cp.Variable(model.problem.n_assets)
    scale: Any = cp.Variable(nonneg=True) if ratio else 1.0
    held, cost = constrain(model, y, scale)
    goal, extra = objective_of(model, y, cost)
    problem = cp.Problem(cp.Minimize(goal), held + extra)
    _solve(problem)
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) or y.value is None:
        return None
    factor = float(scale.value) if ratio else 1.0
    return np.asarray(y.value / factor) if factor > 1e-12 else None


def least_violation(model: Model) -> float:
    """By how much the constraints must give, all of them by the same amount."""
    y, slack = cp.Variable(model.problem.n_assets), cp.Variable(nonneg=True)
    held, _ = constrain(model, y, 1.0)
    loose = []
    for item in held:
        kind = type(item).__name__
        gap = item.args[0] - item.args[1]
        loose += [gap <= slack] if kind != "Equality" else [gap <= slack, gap >= -slack]
    problem = cp.Problem(cp.Minimize(slack), loose)
    _solve(problem)
    return float(problem.value) if problem.value is not None else float("nan")


def most_excess(model: Model) -> float:
    """The largest mean excess return, net of costs, in the model's units."""
    y = cp.Variable(model.problem.n_assets)
    held, cost = constrain(model, y, 1.0)
    problem = cp.Problem(cp.Maximize(model.excess.mean(axis=0) @ y - cost), held)
    _solve(problem)
    return float(problem.value) if problem.value is not None else float("nan")


def _solve(problem: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.SolverError:
            try:
                problem.solve(solver=cp.SCS, eps=1e-9, max_iters=50_000)
            except cp.SolverError:
                return


def violation(model: Model, weights: FloatArray) -> float:
    """Largest violation of any constraint that is not about the number of assets."""
    problem, constraints = model.problem, model.problem.constraints
    low, high = np.array([constraints.bounds_of(symbol) for symbol in problem.symbols]).T
    total, traded = float(weights.sum()), np.abs(weights - model.current)
    drag = float(model.costs @ traded) * model.unit
    worst = [(low - weights).max(), (weights - high).max(), total - 1]
    if constraints.sum_to_one:
        worst.append(1 - total)
    for group in constraints.groups:
        held = float(vector(problem, dict.fromkeys(group.symbols, 1.0)) @ weights)
        worst.append(-np.inf if group.min_weight is None else group.min_weight - held)
        worst.append(-np.inf if group.max_weight is None else held - group.max_weight)
    if constraints.max_turnover is not None:
        worst.append(float(traded.sum()) - constraints.max_turnover)
    if constraints.max_leverage is not None:
        worst.append(float(np.abs(weights).sum()) - constraints.max_leverage)
    if constraints.target_return is not None:
        cash = problem.risk_free_rate / YEAR * (1 - total)
        earned = float((problem.returns @ weights).mean()) + cash - drag
        worst.append(constraints.target_return / YEAR - earned)
    for limit, origin in (
        (constraints.target_volatility, {}),
        (constraints.max_tracking_error, dict(constraints.benchmark_weights or {})),
    ):
        if limit is not None:
            away = model.root @ (weights - vector(problem, origin)) * model.unit
            worst.append(np.sqrt(YEAR) * float(np.linalg.norm(away)) - limit)
    return float(max(worst))

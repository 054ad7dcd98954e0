"""Return and risk of portfolios: the one definition of every objective and every figure.

Every function takes ``W`` of shape (n,) for one portfolio or (p, n) for p portfolios and returns a
scalar or shape (p,). Returns are simple, per period; nothing here is annualised but
:func:`describe`.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from optimization.engine.errors import UnsupportedProblemError
from optimization.engine.problem import TRADING_DAYS, FloatArray, Objective, Problem


def mean_return(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Mean return per period, μ'w."""
    return np.asarray(W @ returns.mean(axis=0))


def variance(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Sample variance of the return per period, with the divisor T − 1."""
    return np.asarray(np.var(W @ returns.T, axis=-1, ddof=1))


def whole_periods(count: float) -> int:
    """How many whole periods a tail of ``count`` periods holds.

    A share of T is seldom exact: 0.29 · 100 is 28.999999999999996 in binary, which is 29.
    """
    return math.floor(count + 1e-9)


def cvar(W: FloatArray, returns: FloatArray, tail: float) -> FloatArray:
    """Mean loss over the worst ``tail`` share of periods, the last one counted in part.

    Rockafellar and Uryasev, *Optimization of conditional value-at-risk* (2000), eq. 4.
    """
    outcomes = W @ returns.T
    observations = outcomes.shape[-1]
    weight = tail * observations
    whole = whole_periods(weight)
    if whole == 0:
        return np.asarray(-outcomes.min(axis=-1))
    last = min(whole, observations - 1)
    worst = np.partition(outcomes, (whole - 1, last), axis=-1)
    total = worst[..., :whole].sum(axis=-1) + (weight - whole) * worst[..., last]
    return np.asarray(-total / weight)


def value_at_risk(W: FloatArray, returns: FloatArray, tail: float) -> FloatArray:
    """Loss that is exceeded in at most the ``tail`` share of periods (an order statistic)."""
    outcomes = W @ returns.T
    observations = outcomes.shape[-1]
    rank = min(whole_periods(tail * observations), observations - 1)
    return np.asarray(-np.partition(outcomes, rank, axis=-1)[..., rank])


def downside_deviation(W: FloatArray, returns: FloatArray, target: float) -> FloatArray:
    """Root mean square shortfall below ``target`` per period, over all T periods."""
    shortfall = np.minimum(W @ returns.T - target, 0.0)
    return np.asarray(np.sqrt(np.mean(shortfall**2, axis=-1)))


def max_drawdown(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Largest fall of compounded wealth from its running peak, as a positive fraction."""
    wealth = np.cumprod(1.0 + W @ returns.T, axis=-1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=-1), 1.0)
    return np.asarray((1.0 - wealth / peak).max(axis=-1))


def _ratio(excess: FloatArray, risk: FloatArray) -> FloatArray:
    """Excess / risk; without risk ±inf or 0, so that a search can still compare portfolios."""
    endless = np.where(excess == 0, 0.0, np.copysign(np.inf, excess))
    with np.errstate(over="ignore"):
        return np.asarray(np.where(risk > 0, excess / np.where(risk > 0, risk, 1.0), endless))


def sharpe(W: FloatArray, returns: FloatArray, risk_free: float) -> FloatArray:
    """Sharpe ratio per period, (μ − r_f)'w / σ(w); cash earns r_f."""
    excess = mean_return(W, returns) - risk_free * np.asarray(W).sum(axis=-1)
    return _ratio(excess, np.sqrt(variance(W, returns)))


def sortino(W: FloatArray, returns: FloatArray, risk_free: float) -> FloatArray:
    """Sortino ratio per period against the risk-free rate, on returns in excess of it.

    (μ − r_f)'w / √mean(min((R − r_f) w, 0)²), after Sortino and Price (1994).
    """
    excess_returns = returns - risk_free
    excess = mean_return(W, excess_returns)
    return _ratio(excess, downside_deviation(W, excess_returns, 0.0))


def mean_absolute_deviation(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Mean absolute deviation from the mean return per period."""
    return np.asarray(np.abs(W @ (returns - returns.mean(axis=0)).T).mean(axis=-1))


def drawdowns(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Fall of the summed, uncompounded return from its running peak, shape (…, T).

    Summing instead of compounding makes it convex in the weights: Chekhlov, Uryasev and
    Zabarankin, *Drawdown measure in portfolio optimization* (2005).
    """
    total = np.cumsum(W @ returns.T, axis=-1)
    return np.asarray(np.maximum(np.maximum.accumulate(total, axis=-1), 0.0) - total)


def cdar(W: FloatArray, returns: FloatArray, tail: float) -> FloatArray:
    """Conditional drawdown at risk: the mean of the worst ``tail`` share of the drawdowns."""
    falls = -drawdowns(W, returns)
    if falls.ndim == 1:
        return cvar(np.ones(1), falls[:, np.newaxis], tail)
    return np.array([float(cdar(portfolio, returns, tail)) for portfolio in W])


def diversification_ratio(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Weighted mean of the assets' volatilities over the portfolio's, Choueifaty (2008)."""
    apart = W @ np.std(returns, axis=0, ddof=1)
    return _ratio(apart, np.sqrt(variance(W, returns)))


def omega(W: FloatArray, returns: FloatArray, target: float) -> FloatArray:
    """Omega ratio, the gains above ``target`` over the losses below it; no period, no scale.

    Σ max(r − τ, 0) / Σ max(τ − r, 0), after Keating and Shadwick (2002).
    """
    above = W @ returns.T - target
    losses = -np.minimum(above, 0.0).sum(axis=-1)
    return _ratio(np.maximum(above, 0.0).sum(axis=-1), losses)


def calmar(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Mean return per period over the largest drawdown of the window, after Young (1991)."""
    return _ratio(mean_return(W, returns), max_drawdown(W, returns))


CostFunction = Callable[[FloatArray], FloatArray]
"""Maps W of shape (n,) or (p, n) to a cost to be minimised, a scalar or shape (p,)."""


def cost_function(problem: Problem) -> CostFunction:
    """The problem's objective as a cost to minimise, per period; maximised ones change sign.

    Cash earns the risk-free rate and what the portfolio costs is taken from every period: both are
    columns of their own, the first by measuring returns in excess of that rate.
    """
    returns, risk_free = problem.returns, problem.period_risk_free_rate
    tail = problem.constraints.cvar_confidence
    drag = drag_function(problem)
    excess = returns - risk_free
    if drag is not None:
        excess = np.column_stack([excess, np.full(len(returns), -1.0)])
    total = np.column_stack([excess, np.full(len(returns), risk_free)])

    def held(W: FloatArray) -> FloatArray:
        return W if drag is None else np.concatenate([W, drag(W)[..., np.newaxis]], axis=-1)

    def whole(W: FloatArray) -> FloatArray:
        return np.concatenate([held(W), np.ones((*np.shape(W)[:-1], 1))], axis=-1)

    aversion = problem.risk_aversion
    costs: Mapping[Objective, CostFunction] = {
        Objective.MAXIMIZE_SHARPE: lambda W: -sharpe(held(W), excess, 0.0),
        Objective.MINIMIZE_VARIANCE: lambda W: variance(W, returns),
        Objective.MAXIMIZE_RETURN: lambda W: -mean_return(held(W), excess) - risk_free,
        Objective.MINIMIZE_CVAR: lambda W: cvar(held(W), excess, tail) - risk_free,
        Objective.MAXIMIZE_SORTINO: lambda W: -sortino(held(W), excess, 0.0),
        Objective.MINIMIZE_VALUE_AT_RISK: lambda W: (
            value_at_risk(held(W), excess, tail) - risk_free
        ),
        Objective.MAXIMIZE_OMEGA: lambda W: -omega(held(W), excess, 0.0),
        Objective.MAXIMIZE_CALMAR: lambda W: -calmar(whole(W), total),
        Objective.MAXIMIZE_UTILITY: lambda W: (
            aversion / 2 * variance(W, returns) - mean_return(held(W), excess) - risk_free
        ),
        Objective.MAXIMIZE_DIVERSIFICATION: lambda W: -diversification_ratio(W, returns),
        Objective.MINIMIZE_MAD: lambda W: mean_absolute_deviation(W, returns),
        Objective.MINIMIZE_CDAR: lambda W: cdar(whole(W), total, tail),
        Objective.MINIMIZE_MAX_DRAWDOWN: lambda W: drawdowns(whole(W), total).max(axis=-1),
    }
    if problem.objective not in costs:
        raise UnsupportedProblemError(
            f"{problem.objective} is a rule for weights and has no value to compare portfolios by",
            ["objective"],
        )
    return costs[problem.objective]


HELD = 1e-9
"""Smallest absolute weight that counts as a position."""


def drag_function(problem: Problem) -> CostFunction | None:
    """What trading and holding cost per period, spread over a year; None when nothing does."""
    constraints, fee = problem.constraints, 0.0
    if constraints.fixed_fee is not None and constraints.capital is not None:
        fee = constraints.fixed_fee / constraints.capital
    if not fee and not constraints.has_costs:
        return None
    current, per_trade = trading_costs(problem)

    def drag(W: FloatArray) -> FloatArray:
        traded = (np.abs(W - current) * per_trade).sum(axis=-1)
        return np.asarray((traded + fee * (np.abs(W) > HELD).sum(axis=-1)) / TRADING_DAYS)

    return drag


def trading_costs(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """The weights held now and what trading a unit of each asset costs, shape (n,) each."""
    current = _by_symbol(problem, problem.constraints.current_weights or {})
    costs = problem.constraints.transaction_costs
    if isinstance(costs, Mapping):
        return current, _by_symbol(problem, costs)
    return current, np.full(problem.n_assets, costs)


def _by_symbol(problem: Problem, values: Mapping[str, float]) -> FloatArray:
    return np.array([values.get(symbol, 0.0) for symbol in problem.symbols])


def describe(weights: FloatArray, problem: Problem) -> dict[str, float | None]:
    """The figures of one portfolio, annualised by 252 where a rate or a ratio.

    ``expected_return`` is 252 × the mean return (cash and costs included), ``expected_volatility``
    √252 × the standard deviation (T − 1). ``value_at_risk`` and ``cvar`` are one-day losses,
    ``max_drawdown`` is over the window, ``calmar_ratio`` is ``expected_return`` over it, and
    ``omega_ratio`` has no period. A ratio without risk in its denominator is None.
    """
    net = net_returns(weights, problem)
    risk_free, tail = problem.period_risk_free_rate, problem.constraints.cvar_confidence
    above = net - risk_free
    gain, short = float(above.mean()), np.minimum(above, 0.0)
    spread = above - gain
    deviation = float(np.sqrt(spread @ spread / (len(net) - 1)))
    downside, losses = float(np.sqrt(short @ short / len(net))), -float(short.sum())
    fall = _largest_fall(net)
    at_risk, beyond = _tail_losses(net, tail)
    year, mean = float(np.sqrt(TRADING_DAYS)), gain + risk_free
    return {
        "expected_return": TRADING_DAYS * mean,
        "expected_volatility": year * deviation,
        "sharpe_ratio": _finite_ratio(year * gain, deviation),
        "sortino_ratio": _finite_ratio(year * gain, downside),
        "omega_ratio": _finite_ratio(float(above.sum()) + losses, losses),
        "calmar_ratio": _finite_ratio(TRADING_DAYS * mean, fall),
        "value_at_risk": at_risk,
        "cvar": beyond,
        "max_drawdown": fall,
    }


def _largest_fall(net: FloatArray) -> float:
    """Maximum drawdown of one portfolio's returns, however large they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        wealth = np.cumprod(1.0 + net)
        fall = float((1.0 - wealth / np.maximum.accumulate(np.maximum(wealth, 1.0))).max())
    if np.isfinite(fall):
        return fall
    # Wealth is beyond any number; its share of the running peak is not.
    share = lowest = 1.0
    for growth in (1.0 + net).tolist():
        share = min(share * growth, 1.0)
        lowest = min(lowest, share)
    return 1.0 - lowest


def _tail_losses(outcomes: FloatArray, tail: float) -> tuple[float, float]:
    """Value at risk and CVaR of one portfolio's outcomes, from one partition of them."""
    weight = tail * len(outcomes)
    last = min(whole_periods(weight), len(outcomes) - 1)
    worst = np.partition(outcomes, last)
    if last == 0:
        return -float(worst[0]), -float(worst[0])
    total = float(worst[:last].sum()) + (weight - last) * float(worst[last])
    return -float(worst[last]), -total / weight


def _finite_ratio(excess: float, risk: float) -> float | None:
    """Excess / risk, 0 where both vanish, or None where only the risk does."""
    if risk > abs(excess) * np.finfo(np.float64).tiny:
        return excess / risk
    return 0.0 if excess == 0 else None


def net_returns(weights: FloatArray, problem: Problem) -> FloatArray:
    """Returns of one portfolio per period, cash, costs and fees included, shape (T,)."""
    cash = 1.0 - float(weights.sum())
    outcomes = problem.returns @ weights + problem.period_risk_free_rate * cash
    drag = drag_function(problem)
    return np.asarray(outcomes if drag is None else outcomes - drag(weights))

"""Return and risk of portfolios: the one definition of every objective and every figure.

Every function takes ``W`` of shape (n,) for one portfolio or (p, n) for p portfolios and returns a
scalar or shape (p,). Returns are simple, per period; nothing here is annualised but
:func:`describe`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from optimization.engine.problem import TRADING_DAYS, FloatArray, Objective, Problem


def mean_return(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Mean return per period, μ'w."""
    return np.asarray(W @ returns.mean(axis=0))


def variance(W: FloatArray, returns: FloatArray) -> FloatArray:
    """Sample variance of the return per period, with the divisor T − 1."""
    return np.asarray(np.var(W @ returns.T, axis=-1, ddof=1))


def cvar(W: FloatArray, returns: FloatArray, tail: float) -> FloatArray:
    """Mean loss over the worst ``tail`` share of periods, the last one counted in part.

    Rockafellar and Uryasev, *Optimization of conditional value-at-risk* (2000), eq. 4.
    """
    outcomes = W @ returns.T
    observations = outcomes.shape[-1]
    weight = tail * observations
    # 0.05 * 1260 is 63.00000000000001 in binary: without the slack it would count a 64th day.
    whole = int(np.floor(weight + 1e-9))
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
    rank = min(int(np.floor(tail * observations + 1e-9)), observations - 1)
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
    floor = np.finfo(np.float64).tiny
    endless = np.where(excess == 0, 0.0, np.copysign(np.inf, excess))
    return np.asarray(np.where(risk > 0, excess / np.maximum(risk, floor), endless))


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


CostFunction = Callable[[FloatArray], FloatArray]
"""Maps W of shape (n,) or (p, n) to a cost to be minimised, a scalar or shape (p,)."""


def cost_function(problem: Problem) -> CostFunction:
    """The problem's objective as a cost to minimise, per period; maximised ones change sign."""
    returns = problem.returns
    risk_free = problem.period_risk_free_rate
    tail = problem.constraints.cvar_confidence
    costs: Mapping[Objective, CostFunction] = {
        Objective.MAXIMIZE_SHARPE: lambda W: -sharpe(W, returns, risk_free),
        Objective.MINIMIZE_VARIANCE: lambda W: variance(W, returns),
        Objective.MAXIMIZE_RETURN: lambda W: -_total_return(W, returns, risk_free),
        Objective.MINIMIZE_CVAR: lambda W: cvar(W, returns, tail) - risk_free * _cash(W),
        Objective.MAXIMIZE_SORTINO: lambda W: -sortino(W, returns, risk_free),
    }
    return costs[problem.objective]


def _cash(W: FloatArray) -> FloatArray:
    return np.asarray(1.0 - np.asarray(W).sum(axis=-1))


def _total_return(W: FloatArray, returns: FloatArray, risk_free: float) -> FloatArray:
    return mean_return(W, returns) + risk_free * _cash(W)


def describe(weights: FloatArray, problem: Problem) -> dict[str, float | None]:
    """The figures of one portfolio, annualised by 252 where a rate or a ratio.

    ``expected_return`` is 252 × the mean return (cash and costs included), ``expected_volatility``
    √252 × the standard deviation (T − 1). ``value_at_risk`` and ``cvar`` are one-day losses,
    ``max_drawdown`` is over the window. A ratio without risk in its denominator is None.
    """
    net = net_returns(weights, problem)
    own, one = net[:, np.newaxis], np.ones(1)
    risk_free, tail = problem.period_risk_free_rate, problem.constraints.cvar_confidence
    ratios = {
        "sharpe_ratio": float(sharpe(one, own, risk_free)),
        "sortino_ratio": float(sortino(one, own, risk_free)),
    }
    year = float(np.sqrt(TRADING_DAYS))
    return {
        "expected_return": TRADING_DAYS * float(net.mean()),
        "expected_volatility": year * float(np.sqrt(variance(one, own))),
        **{name: year * value if np.isfinite(value) else None for name, value in ratios.items()},
        "value_at_risk": float(value_at_risk(one, own, tail)),
        "cvar": float(cvar(one, own, tail)),
        "max_drawdown": float(max_drawdown(one, own)),
    }


def net_returns(weights: FloatArray, problem: Problem) -> FloatArray:
    """Returns of one portfolio per period, cash and trading costs included, shape (T,)."""
    constraints = problem.constraints
    outcomes = problem.returns @ weights + problem.period_risk_free_rate * _cash(weights)
    if not constraints.has_costs:
        return np.asarray(outcomes)
    costs, current = constraints.transaction_costs, constraints.current_weights or {}
    traded = 0.0
    for symbol, weight in zip(problem.symbols, weights.tolist(), strict=True):
        cost = costs.get(symbol, 0.0) if isinstance(costs, Mapping) else costs
        traded += cost * abs(weight - current.get(symbol, 0.0))
    return np.asarray(outcomes - traded / TRADING_DAYS)

"""The same problems in other libraries and in bare solvers: returns in, weights out."""

from collections.abc import Callable, Mapping
from typing import Any

import daqp
import highspy
import numpy as np
import pandas as pd

from optimization.engine import Objective, Problem
from optimization.engine.objectives import CORE
from optimization.engine.problem import FloatArray

Weigh = Callable[[Problem], FloatArray]


def skfolio(problem: Problem) -> FloatArray:
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    goal, measure = {
        Objective.MINIMIZE_VARIANCE: (ObjectiveFunction.MINIMIZE_RISK, RiskMeasure.VARIANCE),
        Objective.MAXIMIZE_SHARPE: (
            ObjectiveFunction.MAXIMIZE_RATIO,
            RiskMeasure.STANDARD_DEVIATION,
        ),
        Objective.MAXIMIZE_RETURN: (ObjectiveFunction.MAXIMIZE_RETURN, RiskMeasure.VARIANCE),
        Objective.MINIMIZE_CVAR: (ObjectiveFunction.MINIMIZE_RISK, RiskMeasure.CVAR),
        Objective.MAXIMIZE_SORTINO: (ObjectiveFunction.MAXIMIZE_RATIO, RiskMeasure.SEMI_DEVIATION),
        Objective.MINIMIZE_MAD: (
            ObjectiveFunction.MINIMIZE_RISK,
            RiskMeasure.MEAN_ABSOLUTE_DEVIATION,
        ),
        Objective.MINIMIZE_CDAR: (ObjectiveFunction.MINIMIZE_RISK, RiskMeasure.CDAR),
        Objective.MINIMIZE_MAX_DRAWDOWN: (
            ObjectiveFunction.MINIMIZE_RISK,
            RiskMeasure.MAX_DRAWDOWN,
        ),
    }[problem.objective]
    sortino = problem.objective == Objective.MAXIMIZE_SORTINO
    model = MeanRisk(
        objective_function=goal,
        risk_measure=measure,
        max_weights=problem.constraints.upper,
        cvar_beta=1 - problem.constraints.cvar_confidence,
        cdar_beta=1 - problem.constraints.cvar_confidence,
        min_acceptable_return=0.0 if sortino else None,
    )
    model.fit(pd.DataFrame(problem.returns, columns=list(problem.symbols)))
    return np.asarray(model.weights_)


def pyportfolioopt(problem: Problem) -> FloatArray:
    from pypfopt import EfficientCDaR, EfficientCVaR, EfficientFrontier

    mean, bounds = problem.returns.mean(axis=0), (0, problem.constraints.upper)
    if problem.objective == Objective.MINIMIZE_CVAR:
        tail = problem.constraints.cvar_confidence
        model = EfficientCVaR(mean, problem.returns, beta=1 - tail, weight_bounds=bounds)
        return np.array(list(model.min_cvar().values()))
    if problem.objective == Objective.MINIMIZE_CDAR:
        tail = problem.constraints.cvar_confidence
        drawdown = EfficientCDaR(mean, problem.returns, beta=1 - tail, weight_bounds=bounds)
        return np.array(list(drawdown.min_cdar().values()))
    frontier = EfficientFrontier(mean, np.cov(problem.returns.T), weight_bounds=bounds)
    if problem.objective == Objective.MINIMIZE_VARIANCE:
        weights = frontier.min_volatility()
    else:
        weights = frontier.max_sharpe(risk_free_rate=0)
    return np.array(list(weights.values()))


def riskfolio(problem: Problem) -> FloatArray:
    import riskfolio as rp

    index = pd.bdate_range("2018-01-01", periods=problem.n_observations)
    frame = pd.DataFrame(problem.returns, columns=list(problem.symbols), index=index)
    portfolio = rp.Portfolio(returns=frame)
    portfolio.assets_stats(method_mu="hist", method_cov="hist")
    portfolio.upperlng, portfolio.solvers = problem.constraints.upper, ["CLARABEL"]
    portfolio.alpha = problem.constraints.cvar_confidence
    goal, measure = {
        Objective.MINIMIZE_VARIANCE: ("MinRisk", "MV"),
        Objective.MAXIMIZE_SHARPE: ("Sharpe", "MV"),
        Objective.MAXIMIZE_RETURN: ("MaxRet", "MV"),
        Objective.MINIMIZE_CVAR: ("MinRisk", "CVaR"),
        Objective.MAXIMIZE_SORTINO: ("Sharpe", "SLPM"),
        Objective.MINIMIZE_MAD: ("MinRisk", "MAD"),
        Objective.MINIMIZE_CDAR: ("MinRisk", "CDaR"),
        Objective.MINIMIZE_MAX_DRAWDOWN: ("MinRisk", "MDD"),
    }[problem.objective]
    weights = portfolio.optimization(model="Classic", rm=measure, obj=goal, rf=0, l=0, hist=True)
    return np.asarray(weights["weights"])


def bare_daqp(problem: Problem) -> FloatArray:
    """Minimum variance as one dense quadratic programme."""
    n, upper = problem.n_assets, problem.constraints.upper
    covariance = np.cov(problem.returns.T).reshape(n, n)
    scaled = covariance * (n / np.trace(covariance)) + 1e-11 * np.eye(n)
    high, low = np.r_[np.full(n, upper), 1.0], np.r_[np.zeros(n), 1.0]
    sense = np.zeros(n + 1, dtype=np.int32)
    sense[n] = 5
    weights, *_ = daqp.solve(scaled, np.zeros(n), np.ones((1, n)), high, low, sense)
    return np.asarray(weights)


def bare_highs(problem: Problem) -> FloatArray:
    """Minimum CVaR as Rockafellar and Uryasev write it, by HiGHS as it comes."""
    returns, upper = problem.returns, problem.constraints.upper
    periods, n = returns.shape
    tail = problem.constraints.cvar_confidence * periods
    rows = np.zeros((periods + 1, n + 1 + periods))
    rows[:periods, :n], rows[:periods, n] = returns, 1.0
    rows[:periods, n + 1 :] = np.eye(periods)
    rows[periods, :n] = 1.0
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = rows.shape[1], rows.shape[0]
    lp.col_cost_ = np.r_[np.zeros(n), 1.0, np.full(periods, 1 / tail)]
    lp.col_lower_ = np.r_[np.zeros(n), -np.inf, np.zeros(periods)]
    lp.col_upper_ = np.r_[np.full(n, upper), np.full(periods + 1, np.inf)]
    lp.row_lower_ = np.r_[np.zeros(periods), 1.0]
    lp.row_upper_ = np.r_[np.full(periods, np.inf), 1.0]
    filled = rows != 0
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.r_[0, np.cumsum(filled.sum(axis=1))].astype(np.int32)
    lp.a_matrix_.index_ = np.nonzero(filled)[1].astype(np.int32)
    lp.a_matrix_.value_ = rows[filled]
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(lp)
    highs.run()
    return np.array(highs.getSolution().col_value)[:n]


def bare_clarabel(problem: Problem) -> FloatArray:
    """Minimum variance as one sparse cone programme."""
    import clarabel
    from scipy import sparse

    n, upper = problem.n_assets, problem.constraints.upper
    covariance = np.cov(problem.returns.T).reshape(n, n)
    scaled = covariance * (n / np.trace(covariance))
    rows = np.vstack([np.ones((1, n)), np.eye(n), -np.eye(n)])
    limits = np.r_[1.0, np.full(n, upper), np.zeros(n)]
    makers: Any = clarabel
    settings = makers.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    cones = [makers.ZeroConeT(1), makers.NonnegativeConeT(2 * n)]
    solver = makers.DefaultSolver(
        sparse.csc_matrix(np.triu(scaled)),
        np.zeros(n),
        sparse.csc_matrix(rows),
        limits,
        cones,
        settings,
    )
    return np.asarray(solver.solve().x)


def bare_cvxpy(problem: Problem) -> FloatArray:
    """The textbook's lines in CVXPY, by the solver that it chooses."""
    import cvxpy

    cp: Any = cvxpy
    returns, (periods, n) = problem.returns, problem.returns.shape
    weights = cp.Variable(n)
    if problem.objective == Objective.MINIMIZE_VARIANCE:
        risk = cp.quad_form(weights, cp.psd_wrap(np.cov(returns.T).reshape(n, n)))
    else:
        level, tail = cp.Variable(), problem.constraints.cvar_confidence * periods
        risk = level + cp.sum(cp.pos(-returns @ weights - level)) / tail
    limits = [cp.sum(weights) == 1, weights >= 0, weights <= problem.constraints.upper]
    cp.Problem(cp.Minimize(risk), limits).solve()
    return np.asarray(weights.value)


MOMENTS = frozenset({Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_SHARPE})
COMPARED = (
    *CORE,
    Objective.MINIMIZE_MAD,
    Objective.MINIMIZE_CDAR,
    Objective.MINIMIZE_MAX_DRAWDOWN,
)
EVERY = frozenset(COMPARED)
TAILS = frozenset({Objective.MINIMIZE_CVAR, Objective.MINIMIZE_CDAR})

PEERS: Mapping[str, tuple[Weigh, frozenset[Objective]]] = {
    "pyportfolioopt": (pyportfolioopt, MOMENTS | TAILS),
    "skfolio": (skfolio, EVERY),
    "riskfolio-lib": (riskfolio, EVERY),
}
"""Each with the objectives that it knows."""

RAW: Mapping[str, tuple[Weigh, frozenset[Objective]]] = {
    "daqp": (bare_daqp, frozenset({Objective.MINIMIZE_VARIANCE})),
    "highs": (bare_highs, frozenset({Objective.MINIMIZE_CVAR})),
    "clarabel": (bare_clarabel, frozenset({Objective.MINIMIZE_VARIANCE})),
    "cvxpy": (bare_cvxpy, frozenset({Objective.MINIMIZE_CVAR, Objective.MINIMIZE_VARIANCE})),
}
"""Solvers without a library around them."""

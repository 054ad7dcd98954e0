"""Every objective beyond the wire's five against an independent reference of its own.

| objective | reference |
|---|---|
| utility, diversification | the programme written out in CVXPY, solved by Clarabel |
| MAD, CDaR, maximum drawdown | the linear programme as matrices, solved by SciPy's HiGHS |
| risk parity | CVXPY's logarithmic barrier, and the shares of risk themselves |
| hierarchical risk parity | López de Prado's algorithm step by step, on SciPy's tree |
| equal weight, inverse volatility | pandas |

Weights are compared where the optimum is unique, values where it need not be.
"""

from collections.abc import Callable, Mapping
from typing import Any

import cvxpy
import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from optimization.engine import Constraints, Objective, Problem, measures, solve
from tests.optimization.engine.convex.linear_reference import by_linprog

cp: Any = cvxpy
FloatArray = np.ndarray
CAP, TAIL = 0.4, 0.05


def problem_of(objective: Objective, seed: int, **limits: Any) -> Problem:
    rng = np.random.default_rng([seed, 5])
    n, periods = int(rng.integers(4, 13)), int(rng.integers(60, 200))
    common = rng.standard_t(5, (periods, 1)) * rng.uniform(0.3, 1.2, n)
    own = rng.standard_t(5, (periods, n)) * rng.uniform(0.4, 1.6, n)
    return Problem(
        returns=0.01 * (common + own) + rng.normal(4e-4, 4e-4, n),
        symbols=tuple(f"S{asset}" for asset in range(n)),
        objective=objective,
        constraints=Constraints(cvar_confidence=TAIL, **limits),
        risk_aversion=float(rng.uniform(1, 20)),
    )


def covariance_of(problem: Problem) -> FloatArray:
    return pd.DataFrame(problem.returns).cov().to_numpy()


def by_cvxpy(problem: Problem) -> FloatArray:
    """Utility, and diversification scaled to a weighted volatility of one."""
    sigma, mu = covariance_of(problem) * 1e4, problem.returns.mean(axis=0) * 1e4
    w = cp.Variable(problem.n_assets, nonneg=True)
    risk = cp.quad_form(w, cp.psd_wrap(sigma))
    if problem.objective == Objective.MAXIMIZE_UTILITY:
        utility = mu @ w - problem.risk_aversion / 2 * risk
        cp.Problem(cp.Maximize(utility), [cp.sum(w) == 1, w <= CAP]).solve(solver=cp.CLARABEL)
        return np.asarray(w.value)
    apart = np.sqrt(np.diagonal(sigma)) @ w
    cp.Problem(cp.Minimize(risk), [apart == 1, w <= CAP * cp.sum(w)]).solve(solver=cp.CLARABEL)
    return np.asarray(w.value / w.value.sum())


OPTIMA: Mapping[Objective, tuple[Callable[[Problem], FloatArray], float]] = {
    Objective.MAXIMIZE_UTILITY: (by_cvxpy, 1e-6),
    Objective.MAXIMIZE_DIVERSIFICATION: (by_cvxpy, 1e-6),
    Objective.MINIMIZE_MAD: (by_linprog, 1e-8),
    Objective.MINIMIZE_CDAR: (by_linprog, 1e-8),
    Objective.MINIMIZE_MAX_DRAWDOWN: (by_linprog, 1e-8),
}
"""What finds the optimum by itself, and the relative precision that its value has."""


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("objective", OPTIMA)
def test_an_optimum_is_the_references(objective: Objective, seed: int) -> None:
    problem = problem_of(objective, seed, max_weight=CAP)
    reference, precision = OPTIMA[objective]
    cost, solution = measures.cost_function(problem), solve(problem)
    theirs, gap = float(cost(reference(problem))), solution.optimality_gap
    assert gap is not None
    assert gap <= 1e-9
    assert solution.max_violation <= 1e-9
    assert float(cost(solution.weights)) == pytest.approx(theirs, rel=precision)
    assert float(cost(solution.weights)) <= theirs + 1e-9 * abs(theirs)


@pytest.mark.parametrize("seed", range(12))
def test_risk_parity_is_the_logarithmic_barriers_optimum(seed: int) -> None:
    base = problem_of(Objective.RISK_PARITY, seed)
    n, rng = base.n_assets, np.random.default_rng(seed)
    # From equal shares to shares of which the smallest are a ten-thousandth.
    budgets = rng.dirichlet(np.full(n, [50.0, 1.0, 0.3][seed % 3]))
    budgets = (budgets + 1e-4) / (1 + n * 1e-4)
    given = dict(zip(base.symbols[:-1], budgets[:-1].tolist(), strict=True))
    problem = Problem(
        returns=base.returns,
        symbols=base.symbols,
        objective=base.objective,
        risk_budgets=given,
    )
    solution = solve(problem)
    sigma = covariance_of(problem) * 1e4
    y = cp.Variable(n, pos=True)
    barrier = 0.5 * cp.quad_form(y, cp.psd_wrap(sigma)) - budgets @ cp.log(y)
    cp.Problem(cp.Minimize(barrier)).solve(solver=cp.CLARABEL)
    assert solution.weights == pytest.approx(y.value / y.value.sum(), abs=2e-5)
    shares = solution.weights * (sigma @ solution.weights)
    assert shares / shares.sum() == pytest.approx(budgets, rel=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_hierarchical_risk_parity_is_the_papers_algorithm(seed: int) -> None:
    problem = problem_of(Objective.HIERARCHICAL_RISK_PARITY, seed)
    frame = pd.DataFrame(problem.returns)
    sigma, distance = frame.cov().to_numpy(), np.sqrt(np.clip((1 - frame.corr()) / 2, 0, 1))
    np.fill_diagonal(distance := np.array(distance), 0.0)
    tree = linkage(squareform(distance, checks=False), "ward", optimal_ordering=True)
    weights = np.ones(problem.n_assets)

    def variance(assets: list[int]) -> float:
        block = sigma[np.ix_(assets, assets)]
        calm = 1 / np.diagonal(block)
        calm /= calm.sum()
        return float(calm @ block @ calm)

    clusters = [leaves_list(tree).tolist()]
    while clusters:
        halves = [(c[: len(c) // 2], c[len(c) // 2 :]) for c in clusters if len(c) > 1]
        for left, right in halves:
            first, second = variance(left), variance(right)
            weights[left] *= second / (first + second)
            weights[right] *= first / (first + second)
        clusters = [half for pair in halves for half in pair]
    assert solve(problem).weights == pytest.approx(weights, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_baselines_are_what_pandas_says(seed: int) -> None:
    equal = problem_of(Objective.EQUAL_WEIGHT, seed)
    assert solve(equal).weights == pytest.approx(np.full(equal.n_assets, 1 / equal.n_assets))
    inverse = problem_of(Objective.INVERSE_VOLATILITY, seed)
    calm = 1 / pd.DataFrame(inverse.returns).std().to_numpy()
    assert solve(inverse).weights == pytest.approx(calm / calm.sum(), abs=1e-14)


def test_every_further_objective_has_its_reference() -> None:
    core = {
        Objective.MAXIMIZE_SHARPE,
        Objective.MINIMIZE_VARIANCE,
        Objective.MAXIMIZE_RETURN,
        Objective.MINIMIZE_CVAR,
        Objective.MAXIMIZE_SORTINO,
    }
    searched = {
        Objective.MINIMIZE_VALUE_AT_RISK,
        Objective.MAXIMIZE_OMEGA,
        Objective.MAXIMIZE_CALMAR,
    }
    rules = {
        Objective.RISK_PARITY,
        Objective.HIERARCHICAL_RISK_PARITY,
        Objective.EQUAL_WEIGHT,
        Objective.INVERSE_VOLATILITY,
    }
    assert core | searched | rules | set(OPTIMA) == set(Objective)

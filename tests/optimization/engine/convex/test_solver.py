"""The exact solver against skfolio, PyPortfolioOpt and brute force, on real returns."""

import itertools
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pypfopt import EfficientCVaR, EfficientFrontier
from skfolio import RiskMeasure
from skfolio.optimization import MeanRisk, ObjectiveFunction

from optimization.engine import Constraints, Objective, Problem, measures, solve
from optimization.engine.errors import (
    InfeasibleProblemError,
    InvalidProblemError,
    NoExcessReturnError,
    UnboundedProblemError,
    UnsupportedProblemError,
)

FIVE = (
    Objective.MAXIMIZE_SHARPE,
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
)

# How far skfolio's own optimum may lie from ours, relative to the objective, and how far its
# weights may: the precision of its interior-point solver, not of ours.
PRECISION = {
    Objective.MAXIMIZE_SHARPE: (1e-6, 1e-3),
    Objective.MINIMIZE_VARIANCE: (1e-5, 2e-3),
    Objective.MAXIMIZE_RETURN: (1e-6, 1e-4),
    Objective.MINIMIZE_CVAR: (1e-7, 1e-5),
    Objective.MAXIMIZE_SORTINO: (1e-6, 1e-3),
}

SKFOLIO = {
    Objective.MAXIMIZE_SHARPE: (
        ObjectiveFunction.MAXIMIZE_RATIO,
        RiskMeasure.STANDARD_DEVIATION,
    ),
    Objective.MINIMIZE_VARIANCE: (ObjectiveFunction.MINIMIZE_RISK, RiskMeasure.VARIANCE),
    Objective.MAXIMIZE_RETURN: (ObjectiveFunction.MAXIMIZE_RETURN, RiskMeasure.VARIANCE),
    Objective.MINIMIZE_CVAR: (ObjectiveFunction.MINIMIZE_RISK, RiskMeasure.CVAR),
    Objective.MAXIMIZE_SORTINO: (ObjectiveFunction.MAXIMIZE_RATIO, RiskMeasure.SEMI_DEVIATION),
}


def skfolio_weights(problem: Problem) -> np.ndarray:
    objective, measure = SKFOLIO[problem.objective]
    sortino = problem.objective == Objective.MAXIMIZE_SORTINO
    model = MeanRisk(
        objective_function=objective,
        risk_measure=measure,
        min_weights=problem.constraints.lower,
        max_weights=problem.constraints.upper,
        cvar_beta=1 - problem.constraints.cvar_confidence,
        min_acceptable_return=0.0 if sortino else None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(pd.DataFrame(problem.returns, columns=list(problem.symbols)))
    return np.asarray(model.weights_)


@pytest.mark.parametrize("objective", FIVE)
@pytest.mark.parametrize(("n", "periods"), [(5, 252), (20, 252), (20, 1260)])
def test_agrees_with_skfolio(make_problem: Any, objective: Any, n: Any, periods: Any) -> None:
    problem = make_problem(n, periods, objective, max_weight=0.4)
    theirs = skfolio_weights(problem)
    ours = solve(problem)
    cost = measures.cost_function(problem)
    value, weight = PRECISION[objective]
    assert cost(ours.weights) <= cost(theirs) + 1e-9 * abs(cost(theirs))
    assert cost(ours.weights) == pytest.approx(float(cost(theirs)), rel=value)
    assert ours.weights == pytest.approx(theirs, abs=weight)


@pytest.mark.parametrize("objective", FIVE)
def test_long_short_agrees_with_skfolio(make_problem: Any, objective: Any) -> None:
    problem = make_problem(20, 1260, objective, long_only=False, max_weight=0.3, min_weight=-0.1)
    cost = measures.cost_function(problem)
    assert cost(solve(problem).weights) == pytest.approx(
        float(cost(skfolio_weights(problem))), rel=1e-6
    )


def test_agrees_with_pyportfolioopt(make_problem: Any) -> None:
    problem = make_problem(20, 1260, Objective.MAXIMIZE_SHARPE, max_weight=0.4)
    sample = np.cov(problem.returns, rowvar=False)
    frontier = EfficientFrontier(problem.returns.mean(axis=0), sample, weight_bounds=(0, 0.4))
    theirs = np.array(list(frontier.max_sharpe(risk_free_rate=0).values()))
    assert solve(problem).weights == pytest.approx(theirs, abs=1e-3)


def test_cvar_agrees_with_pyportfolioopt(make_problem: Any) -> None:
    problem = make_problem(10, 252, Objective.MINIMIZE_CVAR, max_weight=0.4, cvar_confidence=0.1)
    frontier = EfficientCVaR(
        problem.returns.mean(axis=0), problem.returns, beta=0.9, weight_bounds=(0, 0.4)
    )
    theirs = np.array(list(frontier.min_cvar().values()))
    cost = measures.cost_function(problem)
    assert cost(solve(problem).weights) == pytest.approx(float(cost(theirs)), rel=1e-6)


@pytest.mark.parametrize("objective", FIVE)
@pytest.mark.parametrize("tail", [0.01, 0.033, 0.1])
def test_no_grid_portfolio_is_better(make_problem: Any, objective: Any, tail: Any) -> None:
    problem = make_problem(3, 252, objective, max_weight=0.7, cvar_confidence=tail)
    steps = np.linspace(0, 0.7, 71)
    grid = np.array([(a, b, 1 - a - b) for a, b in itertools.product(steps, steps)])
    grid = grid[(grid[:, 2] >= 0) & (grid[:, 2] <= 0.7)]
    cost = measures.cost_function(problem)
    ours = float(cost(solve(problem).weights))
    assert ours <= cost(grid).min() + 1e-12
    assert ours == pytest.approx(cost(grid).min(), rel=1e-2)


@pytest.mark.parametrize("objective", FIVE)
@pytest.mark.parametrize(
    "constraints",
    [
        {},
        {"max_weight": 0.2},
        {"max_weight": 0.2, "min_weight": 0.02},
        {"max_weight": 0.3, "long_only": False},
        {"max_weight": 0.3, "sum_to_one": False},
        {"min_weight": 0.05, "max_weight": 0.05},
    ],
)
def test_every_answer_is_feasible_and_certified(
    make_problem: Any, objective: Any, constraints: Any
) -> None:
    problem = make_problem(20, 252, objective, risk_free_rate=0.01, **constraints)
    solution: Any = solve(problem)
    assert solution.max_violation <= 1e-9
    assert solution.optimality_gap is not None
    assert 0 <= solution.optimality_gap <= 1e-8
    lower, upper = problem.constraints.lower, problem.constraints.upper
    assert solution.weights.min() >= lower - 1e-9
    assert solution.weights.max() <= upper + 1e-9
    if problem.constraints.sum_to_one:
        assert solution.weights.sum() == pytest.approx(1, abs=1e-9)
    else:
        assert solution.weights.sum() <= 1 + 1e-9


def test_without_sum_to_one_the_least_variance_is_all_cash(make_problem: Any) -> None:
    solution: Any = solve(make_problem(5, 252, Objective.MINIMIZE_VARIANCE, sum_to_one=False))
    assert solution.weights == pytest.approx(np.zeros(5), abs=1e-4)


def test_of_equal_sharpe_ratios_the_most_invested_wins(make_problem: Any) -> None:
    invested: Any = solve(make_problem(5, 252, risk_free_rate=0.01))
    with_cash: Any = solve(make_problem(5, 252, risk_free_rate=0.01, sum_to_one=False))
    assert with_cash.weights == pytest.approx(invested.weights, abs=1e-6)


@pytest.mark.parametrize("objective", [Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_SORTINO])
def test_returns_below_the_risk_free_rate_are_named(make_problem: Any, objective: Any) -> None:
    with pytest.raises(NoExcessReturnError) as caught:
        solve(make_problem(5, 252, objective, risk_free_rate=5.0))
    assert "every feasible portfolio earns less than the risk-free rate" in caught.value.message
    assert "risk_free_rate" in caught.value.fields


def test_few_observations_shrink_the_covariance_and_say_so(make_problem: Any) -> None:
    few: Any = solve(make_problem(20, 39, Objective.MINIMIZE_VARIANCE))
    enough: Any = solve(make_problem(20, 40, Objective.MINIMIZE_VARIANCE))
    assert (few.covariance, enough.covariance) == ("ledoit_wolf", "sample")


@pytest.mark.parametrize("periods", [10, 39])
def test_a_sample_covariance_on_request_is_one_however_few_the_observations(
    make_problem: Any, periods: int
) -> None:
    problem = make_problem(20, periods, Objective.MINIMIZE_VARIANCE, max_weight=0.2)
    solution: Any = solve(problem, parameters={"covariance": "sample"})
    assert solution.covariance == "sample"
    assert solution.optimality_gap <= 1e-8
    shrunk: Any = solve(problem, parameters={"covariance": "ledoit_wolf"})
    spread = np.std(problem.returns @ solution.weights, ddof=1)
    assert spread < np.std(problem.returns @ shrunk.weights, ddof=1)


def test_shrinkage_on_request_agrees_with_skfolio(make_problem: Any) -> None:
    from skfolio.moments import LedoitWolf
    from skfolio.prior import EmpiricalPrior

    problem = make_problem(20, 252, Objective.MINIMIZE_VARIANCE)
    solution: Any = solve(problem, parameters={"covariance": "ledoit_wolf"})
    model = MeanRisk(prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()))
    model.fit(pd.DataFrame(problem.returns))
    assert solution.weights == pytest.approx(model.weights_, abs=1e-4)
    assert solution.covariance == "ledoit_wolf"


def test_an_unknown_estimator_is_refused(make_problem: Any) -> None:
    with pytest.raises(InvalidProblemError, match="covariance is 'oracle'"):
        solve(make_problem(), parameters={"covariance": "oracle"})


@pytest.mark.parametrize("objective", FIVE)
def test_the_general_solver_confirms_the_fast_one_when_asked(
    make_problem: Any, objective: Any
) -> None:
    problem = make_problem(20, 252, objective, max_weight=0.4)
    fast: Any = solve(problem)
    general: Any = solve(problem, parameters={"solver": "general"})
    assert "cvxpy" not in fast.solver
    assert general.solver.startswith("cvxpy/")
    assert general.weights == pytest.approx(fast.weights, abs=1e-6)
    assert general.max_violation <= 1e-9
    automatic = solve(problem, parameters={"solver": "auto"})
    assert automatic.weights == pytest.approx(fast.weights, abs=0)


@pytest.mark.parametrize("asked", [{"max_assets": 3}, {"min_position": 0.1}])
def test_the_general_solver_refuses_a_search(make_problem: Any, asked: Any) -> None:
    with pytest.raises(UnsupportedProblemError) as caught:
        solve(make_problem(5, 252, **asked), parameters={"solver": "general"})
    assert "parameters.solver" in caught.value.fields


def test_an_unknown_solver_is_refused(make_problem: Any) -> None:
    with pytest.raises(InvalidProblemError, match="solver is 'oracle'"):
        solve(make_problem(), parameters={"solver": "oracle"})


def test_the_general_solver_names_conflicts_too(make_problem: Any) -> None:
    with pytest.raises(InfeasibleProblemError) as caught:
        solve(make_problem(5, 252, target_return=50.0), parameters={"solver": "general"})
    assert "constraints.target_return" in caught.value.fields


def test_bounds_that_cannot_sum_to_one_are_named(make_problem: Any) -> None:
    with pytest.raises(InfeasibleProblemError, match="raise max_weight to at least"):
        solve(make_problem(5, 252, max_weight=0.1))


@pytest.mark.parametrize("objective", FIVE)
def test_one_asset_gets_everything(make_problem: Any, objective: Any) -> None:
    assert solve(make_problem(1, 252, objective)).weights == pytest.approx([1.0], abs=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1e2])
@pytest.mark.parametrize("objective", FIVE)
def test_the_scale_of_returns_changes_no_weight(
    make_problem: Any, objective: Any, scale: Any
) -> None:
    problem = make_problem(10, 252, objective, max_weight=0.4)
    scaled = Problem(
        returns=problem.returns * scale,
        symbols=problem.symbols,
        objective=objective,
        constraints=problem.constraints,
    )
    solution: Any = solve(scaled)
    assert solution.optimality_gap == pytest.approx(0, abs=1e-8)
    assert solution.weights == pytest.approx(solve(problem).weights, abs=1e-4)


@pytest.mark.parametrize("objective", [Objective.MAXIMIZE_SHARPE, Objective.MAXIMIZE_SORTINO])
def test_gain_without_risk_has_no_best_ratio(objective: Any) -> None:
    returns = np.column_stack([np.full(50, 0.001), np.tile([0.02, -0.01], 25)])
    with pytest.raises(UnboundedProblemError, match="CASH"):
        solve(Problem(returns=returns, symbols=("CASH", "RISK"), objective=objective))


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_VARIANCE, Objective.MINIMIZE_CVAR])
def test_constant_prices_carry_no_risk(objective: Any) -> None:
    returns = np.column_stack([np.zeros(50), np.tile([0.02, -0.01], 25)])
    solution: Any = solve(Problem(returns=returns, symbols=("FLAT", "RISK"), objective=objective))
    assert solution.weights == pytest.approx([1.0, 0.0], abs=1e-4)


@pytest.mark.parametrize("objective", FIVE)
def test_identical_assets_are_solved(sp500: Any, objective: Any) -> None:
    window = sp500.iloc[-252:, :4].to_numpy()
    doubled = Problem(
        returns=np.hstack([window, window]),
        symbols=tuple("ABCDEFGH"),
        objective=objective,
        constraints=Constraints(max_weight=0.3),
    )
    solution: Any = solve(doubled)
    assert solution.optimality_gap == pytest.approx(0, abs=1e-8)
    assert solution.max_violation <= 1e-9

"""The objectives beyond the wire's five, against skfolio and against their own definitions."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skfolio import RiskMeasure
from skfolio.optimization import (
    HierarchicalRiskParity,
    MaximumDiversification,
    MeanRisk,
    ObjectiveFunction,
    RiskBudgeting,
)

from optimization.engine import AssetBounds, Constraints, Objective, Problem, measures, solve
from optimization.engine.errors import (
    InvalidProblemError,
    UnboundedProblemError,
    UnsupportedProblemError,
)

# Relative distance between skfolio's objective value and ours, by the accuracy of its solver.
PRECISION = {
    Objective.MINIMIZE_MAD: 1e-6,
    Objective.MINIMIZE_CDAR: 1e-6,
    Objective.MINIMIZE_MAX_DRAWDOWN: 1e-6,
    Objective.MAXIMIZE_DIVERSIFICATION: 1e-6,
    Objective.MAXIMIZE_UTILITY: 1e-6,
}

RISKS = {
    Objective.MINIMIZE_MAD: RiskMeasure.MEAN_ABSOLUTE_DEVIATION,
    Objective.MINIMIZE_CDAR: RiskMeasure.CDAR,
    Objective.MINIMIZE_MAX_DRAWDOWN: RiskMeasure.MAX_DRAWDOWN,
}


def fitted(model: Any, problem: Problem) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(pd.DataFrame(problem.returns, columns=list(problem.symbols)))
    return np.asarray(model.weights_)


def peer(problem: Problem) -> np.ndarray:
    if problem.objective in RISKS:
        model = MeanRisk(risk_measure=RISKS[problem.objective], max_weights=0.4, cdar_beta=0.95)
    elif problem.objective == Objective.MAXIMIZE_DIVERSIFICATION:
        model = MaximumDiversification(max_weights=0.4)
    else:  # skfolio's utility has no half
        model = MeanRisk(
            objective_function=ObjectiveFunction.MAXIMIZE_UTILITY,
            risk_aversion=problem.risk_aversion / 2,
            max_weights=0.4,
        )
    return fitted(model, problem)


@pytest.mark.parametrize("objective", PRECISION)
def test_agrees_with_skfolio(make_problem: Any, objective: Any) -> None:
    problem = make_problem(10, 504, objective, max_weight=0.4)
    solution: Any = solve(problem)
    cost = measures.cost_function(problem)
    theirs = float(cost(peer(problem)))
    assert solution.optimality_gap <= 1e-9
    assert solution.max_violation <= 1e-9
    assert cost(solution.weights) <= theirs + 1e-9 * abs(theirs)
    assert cost(solution.weights) == pytest.approx(theirs, rel=PRECISION[objective])


def test_equal_risk_contributions_agree_with_skfolio(make_problem: Any) -> None:
    problem = make_problem(20, 504, Objective.RISK_PARITY)
    solution: Any = solve(problem)
    assert solution.risk_contributions == pytest.approx(np.full(20, 0.05), abs=1e-12)
    assert solution.weights == pytest.approx(fitted(RiskBudgeting(), problem), abs=1e-4)


def test_risk_budgets_are_met(make_problem: Any) -> None:
    base = make_problem(4, 504, Objective.RISK_PARITY)
    problem = Problem(
        returns=base.returns,
        symbols=base.symbols,
        objective=base.objective,
        risk_budgets={base.symbols[0]: 0.4, base.symbols[1]: 0.3},
    )
    assert solve(problem).risk_contributions == pytest.approx([0.4, 0.3, 0.15, 0.15], abs=1e-12)


def test_hierarchical_risk_parity_is_skfolios(make_problem: Any) -> None:
    problem = make_problem(10, 504, Objective.HIERARCHICAL_RISK_PARITY)
    theirs = fitted(HierarchicalRiskParity(), problem)
    assert solve(problem).weights == pytest.approx(theirs, abs=1e-12)


def test_equal_weight_and_inverse_volatility_are_what_they_say(
    make_problem: Any, sp500: Any
) -> None:
    equal: Any = solve(make_problem(8, 252, Objective.EQUAL_WEIGHT))
    assert equal.weights == pytest.approx(np.full(8, 1 / 8), abs=1e-15)
    inverse: Any = solve(make_problem(8, 252, Objective.INVERSE_VOLATILITY))
    expected = 1 / sp500.iloc[-252:, :8].std()
    assert inverse.weights == pytest.approx((expected / expected.sum()).to_numpy(), abs=1e-12)


def test_a_rule_that_breaks_a_bound_is_refused_not_bent(make_problem: Any) -> None:
    with pytest.raises(UnsupportedProblemError, match="inverse_volatility fixes the weights"):
        solve(make_problem(8, 252, Objective.INVERSE_VOLATILITY, max_weight=0.13))


def test_risk_cannot_be_shared_with_an_asset_that_has_none() -> None:
    returns = np.column_stack([np.zeros(50), np.tile([0.02, -0.01], 25)])
    with pytest.raises(InvalidProblemError, match="FLAT never moved"):
        solve(Problem(returns=returns, symbols=("FLAT", "RISK"), objective=Objective.RISK_PARITY))


def test_a_greater_risk_aversion_takes_less_risk(make_problem: Any) -> None:
    base = make_problem(10, 504, Objective.MAXIMIZE_UTILITY)
    volatilities: Any = [
        solve(
            Problem(
                returns=base.returns,
                symbols=base.symbols,
                objective=base.objective,
                risk_aversion=aversion,
            )
        ).metrics["expected_volatility"]
        for aversion in (0.1, 1.0, 10.0, 1000.0)
    ]
    assert volatilities == sorted(volatilities, reverse=True)


def test_the_tree_splits_the_risk_of_the_smallest_returns_too(make_problem: Any) -> None:
    base = make_problem(10, 504, Objective.HIERARCHICAL_RISK_PARITY)
    tiny = Problem(returns=1e-7 * base.returns, symbols=base.symbols, objective=base.objective)
    assert solve(tiny).weights == pytest.approx(solve(base).weights, abs=1e-10)


@pytest.mark.parametrize(
    "limits",
    [
        {"sum_to_one": False, "max_weight": 0.05},
        {"long_only": False, "asset_bounds": {"AAPL": AssetBounds(max_weight=-0.1)}},
        {"sum_to_one": False, "long_only": False, "max_weight": 0.12},
    ],
)
def test_a_tree_without_room_for_the_whole_capital_is_refused(
    make_problem: Any, limits: Any
) -> None:
    problem = make_problem(8, 252, Objective.HIERARCHICAL_RISK_PARITY, **limits)
    with pytest.raises(UnsupportedProblemError, match="the whole capital") as caught:
        solve(problem)
    assert "constraints" in caught.value.fields


def test_assets_that_hedge_each_other_entirely_have_no_risk_to_share() -> None:
    """Two assets, each beside its mirror image."""
    assets = np.column_stack([np.tile([0.25, -0.25], 20), np.repeat([0.5, -0.5], 20)])
    returns = np.column_stack([assets, -assets])
    problem = Problem(returns=returns, symbols=tuple("ABCD"), objective=Objective.RISK_PARITY)
    with pytest.raises(UnboundedProblemError, match="hedge each other"):
        solve(problem)


def test_assets_that_never_differ_from_their_mean_may_have_no_volatility() -> None:
    """Their variance is the rounding of a mean, and no unit of anything."""
    problem = Problem(
        returns=np.full((7, 4), 1e-4),
        symbols=tuple("ABCD"),
        objective=Objective.MINIMIZE_MAD,
        constraints=Constraints(max_weight=0.78, target_volatility=0.0),
    )
    solution: Any = solve(problem)
    assert solution.max_violation <= 1e-12
    assert solution.weights.sum() == pytest.approx(1.0, abs=1e-12)

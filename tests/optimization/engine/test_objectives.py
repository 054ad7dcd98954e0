"""Omega, Calmar, value at risk and costs against other libraries and plain loops."""

import numpy as np
import pandas as pd
import pytest
from skfolio.measures import value_at_risk

from optimization.engine.errors import InvalidProblemError
from optimization.engine.measures import calmar, cost_function, describe, omega
from optimization.engine.problem import Constraints, FloatArray, Objective, Problem

RNG = np.random.default_rng(12)
RETURNS = RNG.normal(0.0005, 0.012, (300, 4))
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])
PRECISION = 1e-12
SEARCHED = (Objective.MINIMIZE_VALUE_AT_RISK, Objective.MAXIMIZE_OMEGA, Objective.MAXIMIZE_CALMAR)


def _problem(objective: Objective, **others: object) -> Problem:
    constraints = Constraints(**others)  # type: ignore[arg-type]
    return Problem(
        returns=RETURNS,
        symbols=("A", "B", "C", "D"),
        objective=objective,
        constraints=constraints,
        risk_free_rate=0.02,
    )


def _cost(objective: Objective, weights: FloatArray = WEIGHTS, **others: object) -> float:
    return float(cost_function(_problem(objective, **others))(weights))


def test_omega_is_the_gains_over_the_losses() -> None:
    outcomes = (RETURNS @ WEIGHTS).tolist()
    gains = sum(max(value - 0.001, 0) for value in outcomes)
    losses = sum(max(0.001 - value, 0) for value in outcomes)
    assert float(omega(WEIGHTS, RETURNS, 0.001)) == pytest.approx(gains / losses, rel=PRECISION)


def test_calmar_is_the_mean_over_the_compounded_drawdown() -> None:
    outcomes = pd.Series(RETURNS @ WEIGHTS)
    wealth = (1 + outcomes).cumprod()
    fall = (1 - wealth / wealth.cummax().clip(lower=1)).max()
    expected = outcomes.mean() / fall
    assert float(calmar(WEIGHTS, RETURNS)) == pytest.approx(expected, rel=PRECISION)


def test_value_at_risk_is_skfolios() -> None:
    cost = _cost(Objective.MINIMIZE_VALUE_AT_RISK)
    assert cost == pytest.approx(value_at_risk(RETURNS @ WEIGHTS, beta=0.95), rel=PRECISION)


@pytest.mark.parametrize("objective", SEARCHED)
def test_costs_of_many_portfolios_are_those_of_each(objective: Objective) -> None:
    cost = cost_function(_problem(objective, capital=10_000, fixed_fee=10))
    portfolios = RNG.dirichlet(np.ones(4), 6)
    one_by_one = [float(cost(row)) for row in portfolios]
    assert cost(portfolios) == pytest.approx(one_by_one, rel=PRECISION)


def test_the_costs_are_the_figures_that_are_reported() -> None:
    for objective, name, scale in (
        (Objective.MAXIMIZE_SHARPE, "sharpe_ratio", -np.sqrt(252)),
        (Objective.MAXIMIZE_RETURN, "expected_return", -252),
        (Objective.MINIMIZE_CVAR, "cvar", 1),
        (Objective.MAXIMIZE_SORTINO, "sortino_ratio", -np.sqrt(252)),
        (Objective.MINIMIZE_VALUE_AT_RISK, "value_at_risk", 1),
        (Objective.MAXIMIZE_OMEGA, "omega_ratio", -1),
        (Objective.MAXIMIZE_CALMAR, "calmar_ratio", -252),
    ):
        others = {"capital": 10_000, "fixed_fee": 10, "sum_to_one": False}
        weights = 0.9 * WEIGHTS
        figure = describe(weights, _problem(objective, **others))[name]
        assert scale * _cost(objective, weights, **others) == pytest.approx(figure, rel=1e-9)


def test_a_fee_costs_its_share_of_the_capital_for_every_position_a_year() -> None:
    held = np.array([0.5, 0.5, 0.0, 1e-12])
    fee = _problem(Objective.MAXIMIZE_RETURN, capital=10_000, fixed_fee=25)
    without = _problem(Objective.MAXIMIZE_RETURN)
    before, after = describe(held, without), describe(held, fee)
    assert before["expected_return"] is not None
    assert after["expected_return"] == pytest.approx(before["expected_return"] - 50 / 10_000)
    assert after["expected_volatility"] == pytest.approx(before["expected_volatility"])


def test_fees_and_trading_costs_add_up() -> None:
    both = _cost(Objective.MAXIMIZE_RETURN, capital=1000, fixed_fee=1, transaction_costs=0.01)
    free = _cost(Objective.MAXIMIZE_RETURN)
    assert 252 * (both - free) == pytest.approx(4 * 0.001 + 0.01)


@pytest.mark.parametrize(
    ("constraints", "field"),
    [
        ({"lot_size": 1}, "constraints.capital"),
        ({"fixed_fee": 1}, "constraints.capital"),
        ({"capital": 0}, "constraints.capital"),
        ({"capital": 100, "lot_size": -1}, "constraints.lot_size"),
        ({"capital": 100, "fixed_fee": float("inf")}, "constraints.fixed_fee"),
    ],
)
def test_amounts_of_money_are_positive_and_need_the_capital(
    constraints: dict[str, float], field: str
) -> None:
    with pytest.raises(InvalidProblemError) as caught:
        Constraints(**constraints)  # type: ignore[arg-type]
    assert field in caught.value.fields


@pytest.mark.parametrize("prices", [None, [1.0, 2.0], [1.0, 2.0, 3.0, 0.0], [1, 2, 3, np.nan]])
def test_whole_shares_need_a_price_for_every_asset(prices: list[float] | None) -> None:
    with pytest.raises(InvalidProblemError) as caught:
        Problem(
            returns=RETURNS,
            symbols=("A", "B", "C", "D"),
            constraints=Constraints(capital=100, lot_size=1),
            prices=None if prices is None else np.array(prices),
        )
    assert caught.value.fields == ("constraints.lot_size",)

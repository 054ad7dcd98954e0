"""Every decoded portfolio keeps every rule, and none that keeps them is out of reach."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optimization.engine.errors import InfeasibleProblemError
from optimization.engine.heuristics.holdings import Holdings
from optimization.engine.problem import AssetBounds, Constraints, Problem

FEASIBLE = 1e-9


def _problem(constraints: Constraints, prices: list[float] | None = None, n: int = 4) -> Problem:
    return Problem(
        returns=np.zeros((2, n)),
        symbols=tuple(f"S{column}" for column in range(n)),
        constraints=constraints,
        prices=None if prices is None else np.array(prices),
    )


def _random_rules(rng: np.random.Generator, n: int) -> Constraints:
    in_lots = bool(rng.integers(0, 2))
    upper = float(rng.uniform(1.5 / n, 1))
    return Constraints(
        long_only=bool(rng.integers(0, 2)),
        sum_to_one=bool(rng.integers(0, 2)),
        max_weight=upper,
        max_assets=int(rng.integers(1, n + 1)) if rng.integers(0, 2) else None,
        min_position=float(rng.uniform(0, 0.2)) if rng.integers(0, 2) else None,
        asset_bounds={"S0": AssetBounds(max_weight=float(rng.uniform(0.05, 1)) * upper)},
        capital=float(rng.uniform(100, 10_000)) if in_lots else None,
        lot_size=float(rng.integers(1, 4)) if in_lots else None,
    )


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12))
@settings(max_examples=300, deadline=None)
def test_every_rule_is_kept_from_any_point(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    constraints = _random_rules(rng, n)
    prices = rng.uniform(1, 60, n).tolist()
    try:
        holdings = Holdings.of(_problem(constraints, prices, n))
    except InfeasibleProblemError:
        return
    weights, met = holdings.decode(rng.standard_cauchy((20, n)))
    assert met[0] or not constraints.long_only
    for row in weights[met]:
        assert holdings.violation(row) <= FEASIBLE


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 10))
@example(seed=455, n=5)
@settings(max_examples=100, deadline=None)
def test_a_portfolio_that_keeps_the_rules_is_its_own_decoding(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    constraints = _random_rules(rng, n)
    try:
        holdings = Holdings.of(_problem(constraints, rng.uniform(1, 60, n).tolist(), n))
    except InfeasibleProblemError:
        return
    weights, met = holdings.decode(rng.normal(size=(10, n)))
    again, _ = holdings.decode(weights[met])
    assert np.abs(again - weights[met]).max(initial=0) <= 1e-12


def test_every_whole_number_of_lots_within_the_rules_is_reached() -> None:
    constraints = Constraints(capital=1000, lot_size=10, max_weight=0.6, max_assets=2)
    holdings = Holdings.of(_problem(constraints, [7.0, 11.0, 4.0], 3))
    lots = np.array([70.0, 110.0, 40.0]) / 1000
    counts = np.array(list(product(range(9), range(6), range(16)))) * lots
    total = counts.sum(axis=1)
    allowed = counts[
        (counts <= 0.6 + 1e-12).all(axis=1)
        & ((counts > 0).sum(axis=1) <= 2)
        & (total <= 1 + 1e-12)
        & (total > 1 - lots.max() + 1e-9)
    ]
    assert len(allowed) > 20
    decoded, met = holdings.decode(allowed)
    assert met.all()
    assert np.abs(decoded - allowed).max() <= 1e-12


def test_fully_invested_leaves_less_than_the_dearest_lot() -> None:
    constraints = Constraints(capital=1000, lot_size=1)
    holdings = Holdings.of(_problem(constraints, [90.0, 35.0, 17.0, 260.0]))
    weights, _ = holdings.decode(np.random.default_rng(2).normal(size=(500, 4)))
    assert (1000 * (1 - weights.sum(axis=1)) <= 260 + 1e-9).all()
    assert (weights.sum(axis=1) <= 1 + 1e-12).all()


def test_the_largest_weights_are_kept() -> None:
    holdings = Holdings.of(_problem(Constraints(max_assets=2)))
    weights, _ = holdings.decode(np.array([[0.4, 0.1, 0.3, 0.2]]))
    assert weights[0] == pytest.approx([0.55, 0, 0.45, 0])


def test_positions_too_small_are_dropped_or_raised() -> None:
    holdings = Holdings.of(_problem(Constraints(min_position=0.2)))
    weights, _ = holdings.decode(np.array([[0.6, 0.15, 0.2, 0.05]]))
    assert weights[0, 3] == 0
    assert weights[0, 1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("constraints", "field"),
    [
        (Constraints(max_assets=2, max_weight=0.4), "constraints.max_assets"),
        (Constraints(max_assets=3, min_weight=0.1), "constraints.min_weight"),
        (Constraints(min_position=0.5, max_weight=0.4), "constraints.min_position"),
        (Constraints(capital=5, lot_size=1), "constraints.capital"),
        (Constraints(capital=30, lot_size=1, min_weight=0.2), "constraints.min_weight"),
        (Constraints(capital=100, lot_size=1, min_weight=0.11, max_weight=0.19), "constraints."),
    ],
)
def test_rules_that_nothing_keeps_are_refused(constraints: Constraints, field: str) -> None:
    with pytest.raises(InfeasibleProblemError) as caught:
        Holdings.of(_problem(constraints, [10.0, 20.0, 20.0, 10.0]))
    assert any(name.startswith(field) for name in caught.value.fields)

"""Infeasible requests: the named set conflicts, no smaller one does, and the mend works."""

import dataclasses
from typing import Any

import pytest

from optimization.engine import AssetBounds, Group, Objective, solve
from optimization.engine.errors import InfeasibleProblemError

ENERGY = Group(name="energy", symbols=("AAPL", "AMD"), min_weight=0.9)


def error_of(problem: Any) -> InfeasibleProblemError:
    with pytest.raises(InfeasibleProblemError) as caught:
        solve(problem)
    return caught.value


def test_a_group_that_its_members_cannot_fill_is_named_with_both_mends(make_problem: Any) -> None:
    error = error_of(make_problem(10, 252, max_weight=0.4, groups=(ENERGY,)))
    assert set(error.fields) == {"constraints.max_weight", "constraints.groups[0]"}
    assert "raise max_weight to 0.45" in error.message
    assert "lower min_weight of group energy to 0.8" in error.message


@pytest.mark.parametrize(
    "mended",
    [
        {"max_weight": 0.45 + 1e-6},
        {"groups": (dataclasses.replace(ENERGY, min_weight=0.8),)},
    ],
)
def test_each_mend_works_alone(make_problem: Any, mended: Any) -> None:
    constraints = {"max_weight": 0.4, "groups": (ENERGY,)} | mended
    assert solve(make_problem(10, 252, **constraints)).max_violation <= 1e-9


def test_constraints_without_a_part_in_the_conflict_are_not_named(make_problem: Any) -> None:
    bounds = {"AAPL": AssetBounds(min_weight=0.3), "AMD": AssetBounds(min_weight=0.2)}
    cap = Group(name="chips", symbols=("AAPL", "AMD"), max_weight=0.4)
    other = Group(name="banks", symbols=("BAC",), max_weight=0.2)
    error = error_of(make_problem(10, 252, asset_bounds=bounds, groups=(other, cap)))
    assert set(error.fields) == {
        "constraints.asset_bounds.AAPL.min_weight",
        "constraints.asset_bounds.AMD.min_weight",
        "constraints.groups[1]",
    }


def test_a_target_return_beyond_the_best_asset_names_what_is_possible(make_problem: Any) -> None:
    richest: Any = solve(make_problem(10, 252, Objective.MAXIMIZE_RETURN))
    best = richest.metrics["expected_return"]
    error = error_of(make_problem(10, 252, target_return=best + 1))
    assert "constraints.target_return" in error.fields
    assert f"lower target_return to {best:.6g}"[:28] in error.message


def test_turnover_that_cannot_reach_the_bounds_is_named(make_problem: Any) -> None:
    error = error_of(
        make_problem(10, 252, max_weight=0.4, current_weights={"AAPL": 1.0}, max_turnover=0.2)
    )
    assert set(error.fields) == {"constraints.max_weight", "constraints.max_turnover"}
    assert "raise max_turnover to 1.2" in error.message


def test_a_volatility_below_the_least_possible_names_the_least(make_problem: Any) -> None:
    least: Any = solve(make_problem(10, 252, Objective.MINIMIZE_VARIANCE))
    error = error_of(make_problem(10, 252, target_volatility=0.001))
    assert "constraints.target_volatility" in error.fields
    assert f"{least.metrics['expected_volatility']:.4g}"[:5] in error.message


def test_a_tracking_error_that_no_allowed_portfolio_has_is_named(make_problem: Any) -> None:
    error = error_of(
        make_problem(
            10, 252, benchmark_weights={"AAPL": 1}, max_weight=0.3, max_tracking_error=0.01
        )
    )
    assert "constraints.max_tracking_error" in error.fields


def test_a_mend_that_leaves_nothing_says_zero(make_problem: Any) -> None:
    """Less than nothing would be refused of a long-only portfolio."""
    held = {"AAPL": AssetBounds(min_weight=0.1)}
    rest = Group(name="rest", symbols=("AMD", "BAC"), min_weight=1.0)
    error = error_of(make_problem(10, 252, asset_bounds=held, groups=(rest,)))
    assert "lower min_weight of AAPL to 0;" in error.message


@pytest.mark.parametrize("n", [5, 20])
def test_positions_of_which_no_number_fills_the_budget_are_refused_without_a_search(
    make_problem: Any, n: int
) -> None:
    """Three of at most 0.3 are too few and four of at least 0.28 too many."""
    error = error_of(make_problem(n, 252, max_weight=0.3, min_position=0.28))
    assert set(error.fields) == {"constraints.min_position", "constraints.max_weight"}
    assert "lower min_position to 0.25 or raise max_weight to 0.333334" in error.message
    for mended in (
        {"max_weight": 0.3, "min_position": 0.25},
        {"max_weight": 0.333334, "min_position": 0.28},
    ):
        assert solve(make_problem(n, 252, **mended)).max_violation <= 1e-9

"""What holds an optimum back, in words: the sentence says the price in the metric's own unit."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from optimization.engine import AssetBounds, Group, Objective, solve
from optimization.engine.convex.explain import two_digits
from optimization.engine.convex.instance import instance_of
from optimization.engine.convex.paths import solve_instance
from optimization.engine.measures import describe
from optimization.engine.problem import Constraints, Problem

RETURNS = np.random.default_rng(3).normal((0.0008, 0.0004, 0.0006), (0.02, 0.01, 0.015), (500, 3))


@pytest.mark.parametrize(
    ("objective", "unit", "scale"),
    [
        (Objective.MINIMIZE_VARIANCE, "percentage points off the expected volatility", 100),
        (Objective.MAXIMIZE_RETURN, "percentage points to the expected return", 100),
        (Objective.MINIMIZE_CVAR, "percentage points off the one-day CVaR", 100),
        (Objective.MAXIMIZE_SHARPE, "to the Sharpe ratio", 1),
        (Objective.MAXIMIZE_SORTINO, "to the Sortino ratio", 1),
    ],
)
def test_a_price_is_told_in_the_unit_of_its_metric(
    objective: Objective, unit: str, scale: float
) -> None:
    problem = Problem(
        returns=RETURNS,
        symbols=("A", "B", "C"),
        objective=objective,
        constraints=Constraints(max_weight=0.4),
    )
    found = [b for b in solve(problem).binding if b.name == "constraints.max_weight"]
    assert found
    for binding in found:
        match = re.fullmatch(rf".* by 1 % (?:takes|adds) (\S+) {unit}", binding.sentence)
        assert match, binding.sentence
        # Two digits of what one hundredth more of the bound is worth.
        worth = scale * 0.01 * binding.shadow_price
        assert float(match[1]) == pytest.approx(worth, rel=0.05)


METRICS = {
    Objective.MINIMIZE_VARIANCE: ("expected_volatility", -1),
    Objective.MAXIMIZE_SHARPE: ("sharpe_ratio", 1),
    Objective.MAXIMIZE_RETURN: ("expected_return", 1),
    Objective.MINIMIZE_CVAR: ("cvar", -1),
    Objective.MAXIMIZE_SORTINO: ("sortino_ratio", 1),
}
STEP = 1e-5
CURRENT = {"AAPL": 0.5, "AMD": 0.3, "BAC": 0.2}
GROUP = Group(name="chips", symbols=("AAPL", "AMD"), min_weight=0.3, max_weight=0.5)


def bounds_of(name: str, symbol: str, shift: float, base: Any) -> dict[str, Any]:
    """The constraints with one asset's own bound moved."""
    side = "max_weight" if name.endswith("max_weight") and shift > 0 else "min_weight"
    low, high = base.bounds_of(symbol)
    own = {"min_weight": low, "max_weight": high}
    own[side] += shift
    others = {**base.asset_bounds, symbol: AssetBounds(**own)}
    return {"asset_bounds": others, "long_only": False, "min_weight": base.lower}


def moved(base: Constraints, binding: Any) -> Constraints:
    """The constraints with what a sentence speaks of relaxed by a little."""
    name, sentence = binding.name, binding.sentence
    if binding.symbol:
        shift = STEP if sentence.startswith("raising") else -STEP
        return dataclasses.replace(base, **bounds_of(name, binding.symbol, shift, base))
    if name == "constraints.groups[0]":
        group = base.groups[0]
        side = "min_weight" if sentence.startswith("lowering") else "max_weight"
        shift = -STEP if side == "min_weight" else STEP
        changed = dataclasses.replace(group, **{side: getattr(group, side) + shift})
        return dataclasses.replace(base, groups=(changed,))
    field = name.removeprefix("constraints.")
    shift = -STEP if field == "target_return" else STEP
    changes: Any = {field: getattr(base, field) + shift}
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize("objective", METRICS)
@pytest.mark.parametrize(
    ("constraints", "named"),
    [
        ({"max_weight": 0.3}, "constraints.max_weight"),
        ({"max_weight": 0.5}, "constraints.long_only"),
        ({"min_weight": 0.05}, "constraints.min_weight"),
        ({"asset_bounds": {"GE": AssetBounds(min_weight=0.3)}}, "constraints.asset_bounds"),
        ({"max_weight": 0.4, "groups": (GROUP,)}, "constraints.groups[0]"),
        ({"current_weights": CURRENT, "max_turnover": 0.2}, "constraints.max_turnover"),
        ({"long_only": False, "max_leverage": 1.1}, "constraints.max_leverage"),
        ({"target_volatility": 0.16}, "constraints.target_volatility"),
        (
            {"benchmark_weights": CURRENT, "max_tracking_error": 0.03},
            "constraints.max_tracking_error",
        ),
        ({"target_return": 0.65}, "constraints.target_return"),
    ],
)
def test_a_price_is_what_moving_the_bound_is_worth(
    make_problem: Any, objective: Any, constraints: Any, named: str
) -> None:
    """Solve again with the bound moved by a little, and compare the metric itself."""
    problem = make_problem(8, 500, objective, **constraints)
    solution: Any = solve(problem)
    metric, sign = METRICS[objective]
    found = [item for item in solution.binding if item.name.startswith(named)]
    for binding in found[:3]:
        other = dataclasses.replace(problem, constraints=moved(problem.constraints, binding))
        again: Any = solve(other)
        worth = sign * (again.metrics[metric] - solution.metrics[metric]) / STEP
        assert worth == pytest.approx(binding.shadow_price, rel=5e-3)
    quiet = {  # what the objective itself wants, or what does not touch it
        Objective.MAXIMIZE_RETURN: ("constraints.target_return",),
        Objective.MINIMIZE_VARIANCE: ("constraints.target_volatility",),
        Objective.MINIMIZE_CVAR: ("constraints.target_volatility",),
    }
    assert found or named in quiet.get(objective, ()), "nothing was said about it"


@pytest.mark.parametrize("objective", METRICS)
def test_the_price_of_the_budget_is_that_of_a_little_cash(
    make_problem: Any, objective: Any
) -> None:
    problem = make_problem(8, 500, objective, max_weight=0.3)
    solution: Any = solve(problem)
    metric, sign = METRICS[objective]
    for binding in solution.binding:
        if binding.name != "constraints.sum_to_one":
            continue
        instance = instance_of(problem)
        total = 1 - STEP if binding.sentence.startswith("holding") else 1 + STEP
        region = dataclasses.replace(instance.region, budget_low=total, budget_high=total)
        answer, _ = solve_instance(instance.with_region(region))
        figures: Any = describe(answer.weights, problem)
        worth = sign * (figures[metric] - solution.metrics[metric]) / STEP
        assert worth == pytest.approx(binding.shadow_price, rel=5e-3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.000046, "0.000046"),
        (0.00456, "0.0046"),
        (3.0, "3"),
        (123.4, "120"),
        (1e-7, "0.0000001"),
    ],
)
def test_no_number_has_an_exponent(value: float, expected: str) -> None:
    assert two_digits(value)[:9] == expected


def test_small_fractions_are_told_in_basis_points(make_problem: Any) -> None:
    solution: Any = solve(make_problem(8, 504, Objective.MINIMIZE_VARIANCE, max_weight=0.4))
    sentences = [item.sentence for item in solution.binding if item.shadow_price < 1e-2]
    assert sentences
    for sentence in sentences:
        assert re.search(r" by 1 % takes [\d.]+ basis points off the expected", sentence) or (
            sentence.startswith("selling 1 % of") and "basis points off" in sentence
        )


def test_no_sentence_speaks_in_field_names(make_problem: Any) -> None:
    problem = make_problem(
        8,
        500,
        Objective.MAXIMIZE_SHARPE,
        max_weight=0.4,
        groups=(GROUP,),
        current_weights=CURRENT,
        max_turnover=0.6,
        target_volatility=0.21,
        target_return=0.2,
    )
    solution: Any = solve(problem)
    assert len(solution.binding) > 3
    assert not any("_" in item.sentence for item in solution.binding)


@pytest.mark.parametrize("objective", METRICS)
def test_what_cannot_be_eased_alone_is_worth_nothing(make_problem: Any, objective: Any) -> None:
    """A full portfolio cannot borrow, and a portfolio of the smallest weights cannot hold cash."""
    full: Any = solve(make_problem(4, 500, objective, max_weight=0.25))
    assert not [item for item in full.binding if "borrowing" in item.sentence]
    tight: Any = solve(make_problem(4, 500, objective, min_weight=0.25))
    assert not [item for item in tight.binding if "as cash" in item.sentence]

"""Named conflicts against brute force: every subset of the constraints, and every mend."""

import dataclasses
import itertools
import re
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from optimization.engine import AssetBounds, Constraints, Group, solve
from tests.optimization.engine.convex.six_assets import SYMBOLS, problem_of, refusal_of

RETURNS = np.random.default_rng(8).normal(0.0005, 0.01, (60, 6))

Rows = list[tuple[list[float], float]]


def limits_of(constraints: Constraints) -> dict[str, Rows]:
    """Each request field as rows a'w ≤ b over the six assets."""
    found: dict[str, Rows] = {"constraints.sum_to_one": [([-1.0] * 6, -1.0)]}
    unit = np.eye(6).tolist()
    for asset, symbol in enumerate(SYMBOLS):
        own, path = constraints.asset_bounds.get(symbol), f"constraints.asset_bounds.{symbol}"
        low, high = constraints.bounds_of(symbol)
        lowest, highest = "constraints.long_only", "constraints.max_weight"
        if own is not None and own.min_weight is not None:
            lowest = f"{path}.min_weight"
        if own is not None and own.max_weight is not None:
            highest = f"{path}.max_weight"
        found.setdefault(lowest, []).append(([-x for x in unit[asset]], -low))
        found.setdefault(highest, []).append((unit[asset], high))
    for number, group in enumerate(constraints.groups):
        member = [float(symbol in group.symbols) for symbol in SYMBOLS]
        rows = found.setdefault(f"constraints.groups[{number}]", [])
        if group.min_weight is not None:
            rows.append(([-x for x in member], -group.min_weight))
        if group.max_weight is not None:
            rows.append((member, group.max_weight))
    return found


def can_hold(limits: dict[str, Rows], fields: Any) -> bool:
    """Whether some portfolio of at most the whole capital satisfies these fields."""
    rows = [([1.0] * 6, 1.0), *(row for field in fields for row in limits[field])]
    matrix, right = zip(*rows, strict=True)
    outcome = linprog(np.zeros(6), np.array(matrix), np.array(right), bounds=(None, None))
    return bool(outcome.status == 0)


def random_constraints(seed: int) -> Constraints:
    rng = np.random.default_rng(seed)
    groups = []
    for number in range(int(rng.integers(1, 4))):
        members = tuple(str(s) for s in rng.choice(SYMBOLS, int(rng.integers(1, 4)), replace=False))
        low = float(rng.uniform(0.2, 0.9)) if rng.random() < 0.6 else None
        high = None if low is not None else float(rng.uniform(0.0, 0.4))
        groups.append(Group(name=f"g{number}", symbols=members, min_weight=low, max_weight=high))
    own = {}
    for symbol in SYMBOLS[: int(rng.integers(0, 3))]:
        own[symbol] = AssetBounds(min_weight=float(rng.uniform(0.0, 0.3)))
    cap = float(rng.uniform(0.3, 0.6))
    return Constraints(max_weight=cap, groups=tuple(groups), asset_bounds=own)


CONFLICTS = [
    seed
    for seed in range(120)
    if not can_hold(limits_of(random_constraints(seed)), limits_of(random_constraints(seed)))
]


def test_there_are_enough_conflicts_to_learn_from() -> None:
    assert 20 <= len(CONFLICTS) <= 100


@pytest.mark.parametrize("seed", CONFLICTS)
def test_the_named_set_conflicts_and_no_smaller_part_of_it_does(seed: int) -> None:
    constraints = random_constraints(seed)
    limits, fields = limits_of(constraints), refusal_of(RETURNS, constraints).fields
    assert set(fields) <= set(limits)
    assert not can_hold(limits, fields)
    for fewer in itertools.combinations(fields, len(fields) - 1):
        assert can_hold(limits, fewer)


@pytest.mark.parametrize("seed", sorted(set(range(120)) - set(CONFLICTS)))
def test_only_conflicts_are_refused(seed: int) -> None:
    solution: Any = solve(problem_of(RETURNS, random_constraints(seed)))
    assert solution.max_violation <= 1e-9


def mended(constraints: Constraints, message: str, give: float) -> list[Constraints]:
    """The constraints with each mend that a message names, given by a share of what it asks for."""
    found, own = [], constraints.asset_bounds

    def towards(now: float, asked: str) -> float:
        return now + give * (float(asked) - now)

    for asked in re.findall(r"raise max_weight to ([\d.e-]+)", message):
        cap = towards(constraints.upper, asked)
        found.append(dataclasses.replace(constraints, max_weight=cap))
    for asked in re.findall(r"with a min_weight of (-[\d.e-]+)", message):
        low = towards(0.0, asked)
        found.append(dataclasses.replace(constraints, long_only=False, min_weight=low))
    for first, symbol, asked in re.findall(
        r"(set long_only to false with a min_weight of 0 and )?lower min_weight of ([A-F])"
        r" to ([\d.e-]+)",
        message,
    ):
        low = towards(own[symbol].min_weight or 0.0, asked)
        bounds = {**own, symbol: AssetBounds(min_weight=low)}
        short: Any = {"long_only": False, "min_weight": 0.0} if first else {}
        found.append(dataclasses.replace(constraints, asset_bounds=bounds, **short))
    for side, number, asked in re.findall(
        r"(?:raise|lower) (min_weight|max_weight) of group g(\d) to ([\d.e-]+)", message
    ):
        groups = list(constraints.groups)
        now: Any = getattr(groups[int(number)], side)
        limit: Any = {side: towards(now, asked)}
        groups[int(number)] = dataclasses.replace(groups[int(number)], **limit)
        found.append(dataclasses.replace(constraints, groups=tuple(groups)))
    return found


@pytest.mark.parametrize("seed", CONFLICTS)
def test_each_mend_works_and_none_smaller_would(seed: int) -> None:
    constraints = random_constraints(seed)
    message = refusal_of(RETURNS, constraints).message
    for enough in mended(constraints, message, 1 + 1e-4):  # told in six digits
        assert can_hold(limits_of(enough), limits_of(enough))
    for less in mended(constraints, message, 0.99):
        assert not can_hold(limits_of(less), limits_of(less))


def test_mends_of_every_kind_are_told() -> None:
    told: dict[str, int] = {}
    for seed in CONFLICTS:
        message = refusal_of(RETURNS, random_constraints(seed)).message
        for words in ("raise max_weight", "long_only to false", "of group", "min_weight of A"):
            told[words] = told.get(words, 0) + (words in message)
    assert min(told.values()) >= 2

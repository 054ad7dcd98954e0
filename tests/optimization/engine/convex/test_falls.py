"""What the falls of one portfolio say about the drawdowns of others."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optimization.engine import Objective, Problem, measures
from optimization.engine.convex.falls import GROUPS, Drawdowns, Falls, drawdowns_of
from optimization.engine.convex.instance import instance_of
from optimization.engine.problem import TRADING_DAYS, FloatArray
from tests.optimization.engine.convex.linear_reference import draw, problem_in

OBJECTIVES = (Objective.MINIMIZE_CDAR, Objective.MINIMIZE_MAX_DRAWDOWN)
CASES = ("a cap", "cash", "a tail of less than a period")


def portfolios(problem: Problem, count: int) -> FloatArray:
    rng = np.random.default_rng(8)
    weights = rng.dirichlet(np.ones(problem.n_assets), count)
    if not problem.constraints.sum_to_one:
        weights *= rng.uniform(0.2, 1.0, (count, 1))
    return np.asarray(weights)


def by_cuts(drawdowns: Drawdowns, cut_at: FloatArray, weights: FloatArray, level: float) -> float:
    """What the cuts of one portfolio say that the drawdown of another costs at a level."""
    cuts = drawdowns.cuts(drawdowns.at(cut_at)[1])
    beyond = cuts.slopes @ weights + cuts.offsets - cuts.leaning * level
    groups = [beyond[cuts.groups == group].max() for group in np.unique(cuts.groups)]
    return level + float(np.maximum(groups, 0.0).sum())


def falls_of(problem: Problem, weights: FloatArray) -> FloatArray:
    """How far a portfolio is below its peak in every period."""
    risk_free = problem.risk_free_rate / TRADING_DAYS
    outcomes = (problem.returns - risk_free) @ weights + risk_free
    return measures.drawdowns(np.ones(1), outcomes[:, np.newaxis])


def cost_at(problem: Problem, weights: FloatArray, level: float) -> float:
    """Rockafellar and Uryasev's function, of which the conditional drawdown is the least value."""
    falls = falls_of(problem, weights)
    if problem.objective == Objective.MINIMIZE_MAX_DRAWDOWN:
        return float(falls.max())
    count = max(problem.constraints.cvar_confidence * len(falls), 1.0)
    return level + float(np.maximum(falls - level, 0.0).sum()) / count


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
def test_a_drawdown_is_the_measure_of_its_name(case: str, objective: Any) -> None:
    problem = problem_in(case, "few assets", objective)
    cost, drawdowns = measures.cost_function(problem), drawdowns_of(instance_of(problem))
    for weights in portfolios(problem, 20):
        assert drawdowns.at(weights)[0] == pytest.approx(float(cost(weights)), rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
def test_no_cut_is_above_the_drawdown_of_any_portfolio(case: str, objective: Any) -> None:
    problem = problem_in(case, "few assets", objective)
    drawdowns = drawdowns_of(instance_of(problem))
    conditional = objective == Objective.MINIMIZE_CDAR
    some = portfolios(problem, 12)
    for weights in some:
        value = drawdowns.at(weights)[0]
        for level in (0.0, 0.3 * value, 0.9 * value) if conditional else (0.0,):
            cost = cost_at(problem, weights, level)
            said = [by_cuts(drawdowns, other, weights, level) for other in some]
            assert max(said) <= cost * (1 + 1e-12)
            assert max(said) > level


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
def test_a_portfolios_own_cuts_say_what_it_costs(case: str, objective: Any) -> None:
    problem = problem_in(case, "few assets", objective)
    drawdowns = drawdowns_of(instance_of(problem))
    for weights in portfolios(problem, 12):
        level = 0.0
        if objective == Objective.MINIMIZE_CDAR:
            falls = np.sort(falls_of(problem, weights))[::-1]
            level = float(falls[int(max(problem.constraints.cvar_confidence * len(falls), 1.0))])
        said = by_cuts(drawdowns, weights, weights, level)
        assert said == pytest.approx(drawdowns.at(weights)[0], rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_cut_has_one_name_and_no_other_has_it(objective: Any) -> None:
    problem = problem_in("a cap", "few assets", objective)
    drawdowns = drawdowns_of(instance_of(problem))
    one, other = (drawdowns.cuts(drawdowns.at(weights)[1]) for weights in portfolios(problem, 2))
    assert len(set(one.names())) == len(one.offsets)
    assert one.names() == drawdowns.cuts(drawdowns.at(portfolios(problem, 1)[0])[1]).names()
    assert not set(one.names()) & set(other.names())
    kept = [number % 2 == 0 for number in range(len(one.offsets))]
    assert one.only(kept).names() == one.names()[::2]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
def test_units_are_the_drawdown_of_a_portfolio(case: str, objective: Any) -> None:
    problem = problem_in(case, "few assets", objective)
    drawdowns = drawdowns_of(instance_of(problem))
    first, *others = portfolios(problem, 5)
    before = [drawdowns.at(weights)[0] for weights in (first, *others)]
    value, falls = drawdowns.in_units_of(first)
    assert value == pytest.approx(1.0, rel=1e-15)
    assert falls.ends.tolist() == drawdowns.at(first)[1].ends.tolist()
    after = [drawdowns.at(weights)[0] for weights in (first, *others)]
    assert after == pytest.approx([drawdown / before[0] for drawdown in before], rel=1e-12)
    level = 0.5 if objective == Objective.MINIMIZE_CDAR else 0.0
    said = by_cuts(drawdowns, others[0], first, level)
    assert said <= cost_at(problem, first, level * before[0]) / before[0] * (1 + 1e-12)


def pairs(falls: Falls) -> dict[int, list[tuple[int, int]]]:
    """Peaks and ends by group."""
    found: dict[int, list[tuple[int, int]]] = {}
    for first, count, group in zip(falls.first, falls.counts, falls.groups, strict=True):
        part = slice(int(first), int(first + count))
        among = found.setdefault(int(group), [])
        among += zip(falls.starts[part].tolist(), falls.ends[part].tolist(), strict=True)
    return found


def test_falls_are_a_period_earlier_in_the_next_window() -> None:
    starts, ends = np.array([0, 0, 3, 5, 9]), np.array([1, 2, 4, 8, 11])
    first, counts, groups = np.array([0, 1, 3]), np.array([1, 2, 2]), np.array([0, 0, 2])
    falls = Falls(starts, ends, first, counts, groups)
    assert pairs(falls.from_next()) == {0: [(0, 1), (2, 3)], 2: [(4, 7), (8, 10)]}
    assert falls.from_next().first.tolist() == [0, 2]


@pytest.mark.parametrize("periods", [60, 100, 250])
def test_stretches_move_with_the_window_until_they_have_gone_by(periods: int) -> None:
    """Two falls that were in one stretch are in one ever after, and in two if they were in two."""
    problem = problem_in("a cap", "few assets", Objective.MINIMIZE_CDAR)
    returns = draw(np.random.default_rng(3), problem.n_assets, 300)
    windows = [
        drawdowns_of(instance_of(replace(problem, returns=returns[first : first + periods])))
        for first in range(40)
    ]
    falls = windows[0].at(portfolios(problem, 1)[0], 0.0)[1]
    for window, following in itertools.pairwise(windows):
        recalled = following.recall(window.hold(falls))
        assert recalled is not None
        expected = {
            tuple((max(start - 1, 0), end - 1) for start, end in group if end > 1)
            for group in pairs(falls).values()
        }
        assert {tuple(group) for group in pairs(recalled).values()} == expected - {()}
        assert 0 <= recalled.groups.min() <= recalled.groups.max() < GROUPS
        own = following.at(portfolios(problem, 1)[0], 0.0)[1]
        by_end = {end: group for group, some in pairs(recalled).items() for _, end in some}
        shared = [
            (group, by_end[end])
            for group, some in pairs(own).items()
            for _, end in some
            if end in by_end
        ]
        assert len(shared) > 10
        assert all(one == other for one, other in shared)
        falls = recalled


def test_falls_of_a_window_of_another_length_are_not_recalled() -> None:
    problem = problem_in("a cap", "few assets", Objective.MINIMIZE_CDAR)
    drawdowns = drawdowns_of(instance_of(problem))
    held = drawdowns.hold(drawdowns.at(portfolios(problem, 1)[0])[1])
    shorter = drawdowns_of(instance_of(replace(problem, returns=problem.returns[1:])))
    assert shorter.recall(held) is None
    assert drawdowns.recall(held) is held.falls

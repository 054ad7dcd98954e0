"""What the falls of one portfolio say about the drawdowns of others."""

from typing import Any

import numpy as np
import pytest

from optimization.engine import Objective, Problem, measures
from optimization.engine.convex.falls import Drawdowns, drawdowns_of
from optimization.engine.convex.instance import instance_of
from optimization.engine.problem import TRADING_DAYS, FloatArray
from tests.optimization.engine.convex.linear_reference import problem_in

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

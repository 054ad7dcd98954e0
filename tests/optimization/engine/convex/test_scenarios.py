"""CVaR and the mean absolute deviation over the periods that matter, against all of them."""

from typing import Any

import numpy as np
import pytest

from optimization.engine import Constraints, Objective, Problem, solve
from optimization.engine.convex import scenarios
from optimization.engine.convex.instance import instance_of
from optimization.engine.convex.loss import AbsoluteLoss, Loss, TailLoss
from optimization.engine.convex.smoothing import smoothed
from tests.optimization.engine.convex.linear_reference import (
    CASES,
    SHAPES,
    check_against_linprog,
    draw,
    problem_in,
)

OBJECTIVES = (Objective.MINIMIZE_CVAR, Objective.MINIMIZE_MAD)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_least_loss_is_the_whole_programmes(shape: str, case: str, objective: Any) -> None:
    check_against_linprog(problem_in(case, shape, objective), {"highs"})


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(5))
def test_periods_that_are_alike_share_what_their_turn_leaves(objective: Any, seed: int) -> None:
    """Every outcome comes thirty times, so that the turn falls within a crowd of ties."""
    rng = np.random.default_rng([seed, 30])
    returns = np.repeat(draw(rng, 5, 12), 30, axis=0)
    problem = Problem(
        returns=returns,
        symbols=tuple(f"S{asset}" for asset in range(5)),
        objective=objective,
        constraints=Constraints(max_weight=0.5, cvar_confidence=float(rng.uniform(0.02, 0.1))),
    )
    check_against_linprog(problem, {"highs"})


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_guess_far_from_the_optimum_is_mended(objective: Any, monkeypatch: Any) -> None:
    """Shares that were fixed on the wrong side are found and left open."""
    problem = problem_in("a cap", "few assets", objective)
    expected = solve(problem).weights
    instance = instance_of(problem)
    losses: dict[Any, Loss] = {
        Objective.MINIMIZE_CVAR: TailLoss(instance.excess, instance.tail),
        Objective.MINIMIZE_MAD: AbsoluteLoss(instance.centred),
    }
    monkeypatch.setattr(scenarios, "OPEN", 4)
    monkeypatch.setattr(scenarios, "OPEN_PER_ASSET", 0)
    worst = np.eye(problem.n_assets)[int(np.argmax(problem.returns.std(axis=0)))]
    start = scenarios.ScenarioStart(-worst)
    found = scenarios.minimise_loss(instance, losses[objective], start)
    assert found.weights == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_assets_that_were_not_chosen_join_where_they_help(objective: Any, monkeypatch: Any) -> None:
    problem = problem_in("a cap", "many assets", objective)
    expected = solve(problem).weights
    for name, value in (("WHOLE_ASSETS", 10), ("FIRST_ASSETS", 3), ("JOINING_ASSETS", 2)):
        monkeypatch.setattr(scenarios, name, value)
    assert solve(problem).weights == pytest.approx(expected, abs=1e-9)


def test_rounding_a_loss_off_leads_near_its_least(make_problem: Any) -> None:
    problem = make_problem(objective=Objective.MINIMIZE_MAD, max_weight=0.4)
    instance, calmest = (
        instance_of(problem),
        make_problem(objective=Objective.MINIMIZE_VARIANCE, max_weight=0.4),
    )
    loss = AbsoluteLoss(instance.centred)
    least = scenarios.minimise_loss(instance, loss).value
    near, far = (
        loss.value(instance.centred @ weights) - least
        for weights in (smoothed(instance, loss), solve(calmest).weights)
    )
    assert 0.0 <= near < 0.2 * far

"""A slice of the campaign of ``benchmarks/certificates.py``, and what the whole once found."""

from typing import Any

import numpy as np
import pytest

from benchmarks.certificates import run_one
from benchmarks.random_problems import random_problem
from optimization.engine import Constraints, Objective, Problem, measures, solve
from optimization.engine.convex.certificate import Evidence, certify
from optimization.engine.convex.instance import instance_of
from optimization.engine.convex.paths import solve_instance
from optimization.engine.objectives import CORE, RATIOS

OTHERS = (
    Objective.MAXIMIZE_UTILITY,
    Objective.MAXIMIZE_DIVERSIFICATION,
    Objective.MINIMIZE_MAD,
    Objective.MINIMIZE_CDAR,
    Objective.MINIMIZE_MAX_DRAWDOWN,
    Objective.RISK_PARITY,
)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("objective", CORE)
def test_random_answers_are_proven_or_refused_by_name(objective: Any, seed: int) -> None:
    outcome = run_one((objective.value, seed), every=4)
    assert not outcome.trouble


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("objective", OTHERS)
def test_so_are_those_of_the_further_objectives(objective: Any, seed: int) -> None:
    outcome = run_one((objective.value, seed), every=3)
    assert not outcome.trouble


@pytest.mark.parametrize("objective", CORE)
def test_no_tracking_error_at_all_holds_the_benchmark(make_problem: Any, objective: Any) -> None:
    benchmark = {"AAPL": 0.5, "BAC": 0.2, "GE": 0.3}
    problem = make_problem(6, 252, objective, benchmark_weights=benchmark, max_tracking_error=0.0)
    solution: Any = solve(problem)
    expected = [benchmark.get(symbol, 0.0) for symbol in problem.symbols]
    assert solution.weights == pytest.approx(expected, abs=1e-9)
    assert solution.optimality_gap <= 1e-8


@pytest.mark.parametrize("objective", sorted(RATIOS))
def test_no_bound_on_a_ratio_is_below_what_another_portfolio_attains(objective: Objective) -> None:
    """Also where a trade costs more than the assets move."""
    returns = np.random.default_rng(3).normal(0.0001, 0.001, (250, 5)) * [1.0, 0.5, 2.0, 1.0, 0.7]
    held = {"A": 0.9, "B": 0.1}
    problem = Problem(
        returns=returns,
        symbols=tuple("ABCDE"),
        objective=objective,
        constraints=Constraints(transaction_costs=1.0, current_weights=held),
    )
    instance = instance_of(problem)
    best, _ = solve_instance(instance)
    kept = certify(instance, np.array([0.9, 0.1, 0.0, 0.0, 0.0]), Evidence())
    assert best.is_certified
    assert kept.value - kept.gap * abs(kept.value) <= best.certificate.value + 1e-9


def test_short_positions_of_a_smallest_size_meet_the_budget(make_problem: Any) -> None:
    """With two assets full and one short the weights would sum to 0.84."""
    problem = make_problem(
        3,
        252,
        Objective.MAXIMIZE_RETURN,
        long_only=False,
        max_weight=0.46,
        min_position=0.0857,
    )
    solution: Any = solve(problem)
    assert solution.weights.sum() == pytest.approx(1.0, abs=1e-9)
    assert np.abs(solution.weights).min() >= 0.0857 - 1e-9


def test_a_ratio_with_cash_and_leverage_is_certified(make_problem: Any) -> None:
    """Scaling a portfolio down changes no ratio, so nothing bounds its risk from below."""
    problem = make_problem(
        12,
        75,
        sum_to_one=False,
        max_leverage=1.0,
        current_weights={"BAC": 1.0},
        max_turnover=2.4,
    )
    solution: Any = solve(problem)
    assert solution.optimality_gap <= 1e-8


@pytest.mark.parametrize("objective", [Objective.MINIMIZE_CDAR, Objective.MINIMIZE_MAX_DRAWDOWN])
def test_drawdowns_net_of_trading_costs_beat_every_neighbour(
    make_problem: Any, objective: Any
) -> None:
    current = {"AAPL": 0.5, "AMD": 0.5}
    problem = make_problem(4, 120, objective, current_weights=current, transaction_costs=0.05)
    solution: Any = solve(problem)
    assert solution.optimality_gap <= 1e-8
    cost, best = measures.cost_function(problem), np.inf
    rng = np.random.default_rng(3)
    for other in rng.dirichlet(np.ones(4), 300):
        for share in (1e-3, 0.1, 1.0):
            best = min(best, float(cost(solution.weights + share * (other - solution.weights))))
    assert float(cost(solution.weights)) <= best + 1e-12


def test_returns_beyond_any_wealth_still_have_a_drawdown() -> None:
    returns = np.tile([[200.0, 150.0], [-0.5, 99.0]], (200, 1))
    problem = Problem(
        returns=returns,
        symbols=("A", "B"),
        objective=Objective.MAXIMIZE_RETURN,
        constraints=Constraints(max_weight=1.0),
    )
    assert solve(problem).metrics["max_drawdown"] == pytest.approx(0.0, abs=1e-12)
    fallen = Problem(returns=returns[:, :1], symbols=("A",), objective=Objective.MAXIMIZE_RETURN)
    assert solve(fallen).metrics["max_drawdown"] == pytest.approx(0.5, abs=1e-12)


def test_a_high_risk_free_rate_makes_small_returns_no_less_diverse() -> None:
    rng = np.random.default_rng(2)
    returns = rng.normal(0.0, 0.01, (60, 4))
    weights = [
        solve(
            Problem(
                returns=scale * returns,
                symbols=tuple("ABCD"),
                objective=Objective.MAXIMIZE_DIVERSIFICATION,
                risk_free_rate=0.2,
            )
        ).weights
        for scale in (1.0, 1e-11)
    ]
    assert weights[1] == pytest.approx(weights[0], abs=1e-7)


@pytest.mark.parametrize("seed", [0, 1, 6, 9])
def test_a_hedge_that_neither_gains_nor_risks_leaves_the_best_ratio_proven(seed: int) -> None:
    """H is A and E together, so that A + E − H is as good as cash: its size changes no ratio."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, (250, 8)) + 0.01 * rng.normal(size=(250, 1))
    returns[:, 4], returns[:, 7] = returns[:, 0], 2.0 * returns[:, 0]

    def diversified(columns: list[int]) -> tuple[Any, float]:
        problem = Problem(
            returns=returns[:, columns],
            symbols=tuple("ABCDEFGH"[column] for column in columns),
            objective=Objective.MAXIMIZE_DIVERSIFICATION,
            constraints=Constraints(long_only=False),
        )
        solution: Any = solve(problem)
        deviations = problem.returns.std(axis=0, ddof=1)
        risk = float((problem.returns @ solution.weights).std(ddof=1))
        return solution, float(solution.weights @ deviations) / risk

    solution, ratio = diversified(list(range(8)))
    _, alone = diversified([0, 1, 2, 3, 5, 6])
    assert ratio == pytest.approx(alone, rel=1e-8)
    assert solution.optimality_gap <= 1e-8


@pytest.mark.parametrize("seed", [8330, 8352])
def test_a_half_of_the_tree_to_which_the_bounds_leave_nothing_holds_nothing(seed: int) -> None:
    """The smallest weights of others take the whole capital of what both halves share."""
    outcome = run_one((Objective.HIERARCHICAL_RISK_PARITY.value, seed), every=0)
    assert (outcome.kind, outcome.trouble) == ("rule", "")
    assert float(solve(random_problem(seed, Objective.HIERARCHICAL_RISK_PARITY)).weights.min()) == 0


@pytest.mark.parametrize(
    ("objective", "seed", "kind"),
    [
        # No portfolio is within the deviation, by a proof where the conic solver had none.
        (Objective.MAXIMIZE_RETURN, 1494, "infeasible"),
        (Objective.MAXIMIZE_SORTINO, 1562, "infeasible"),
        (Objective.MAXIMIZE_SORTINO, 2360, "infeasible"),
        (Objective.MAXIMIZE_SORTINO, 4927, "infeasible"),
        # Out of reach by less than a solver's tolerance.
        (Objective.MAXIMIZE_RETURN, 147, "infeasible"),
        (Objective.MAXIMIZE_RETURN, 7712, "infeasible"),
        # Nothing but cash is left once positions have to be large enough.
        (Objective.MAXIMIZE_SORTINO, 6001, "infeasible"),
        (Objective.MAXIMIZE_DIVERSIFICATION, 4676, "infeasible"),
        # Trading costs of the size of rounding, on which the dual simplex method gets lost.
        (Objective.MAXIMIZE_DIVERSIFICATION, 2352, "certified"),
        (Objective.MAXIMIZE_DIVERSIFICATION, 8124, "certified"),
        # No turnover, or no tracking error, at returns of several hundred percent.
        (Objective.MAXIMIZE_UTILITY, 3501, "certified"),
        (Objective.MINIMIZE_MAD, 7196, "certified"),
        # Two periods, which were shrunk by rounding.
        (Objective.MINIMIZE_CDAR, 855, "certified"),
        (Objective.MINIMIZE_CVAR, 2567, "certified"),
        (Objective.MAXIMIZE_SHARPE, 1113, "certified"),
        # A hedge without risk or gain is feasible, and rounding promised it any ratio.
        (Objective.MAXIMIZE_DIVERSIFICATION, 1400, "certified"),
        (Objective.MAXIMIZE_SHARPE, 20123, "certified"),
        (Objective.MAXIMIZE_SHARPE, 20133, "certified"),
        # Cash, a floor on the return, and a perfect hedge whose weights have a trace of shorts.
        (Objective.MAXIMIZE_DIVERSIFICATION, 91, "unbounded"),
        # No tracking error where one asset is a mixture of the others up to a trace of noise.
        (Objective.MINIMIZE_MAX_DRAWDOWN, 9860, "certified"),
        (Objective.MINIMIZE_CDAR, 5584, "certified"),
        # Nothing within the deviation gains, and the solver came upon nothing but the apex.
        (Objective.MAXIMIZE_SORTINO, 6544, "no_excess_return"),
        # Bounds that hold assets decide for the search from its first node on.
        (Objective.MAXIMIZE_SORTINO, 3242, "certified"),
        (Objective.MINIMIZE_CVAR, 3554, "infeasible"),
        # Nearly everything in what never moves: a risk of rounding's size, and a gain likewise.
        (Objective.MAXIMIZE_DIVERSIFICATION, 2746, "certified"),
        (Objective.MAXIMIZE_DIVERSIFICATION, 4320, "certified"),
        (Objective.MAXIMIZE_DIVERSIFICATION, 6840, "certified"),
        (Objective.MAXIMIZE_SORTINO, 8541, "certified"),
        # Hardly any period, so that of most holdings some portfolio gains without risk.
        (Objective.MAXIMIZE_DIVERSIFICATION, 6462, "unbounded"),
        (Objective.MAXIMIZE_SORTINO, 7584, "unbounded"),
        # A tracking error and a leverage at every node of a search.
        (Objective.MAXIMIZE_DIVERSIFICATION, 3705, "certified"),
        # A face's own tilt just past what is known of the one that meets a deviation.
        (Objective.MAXIMIZE_RETURN, 280, "certified"),
        (Objective.MAXIMIZE_RETURN, 316, "certified"),
        # Returns that a risk-free rate dwarfs, and drawdowns of nothing but rounding.
        (Objective.MINIMIZE_CDAR, 268, "certified"),
        (Objective.MINIMIZE_CDAR, 825, "certified"),
        (Objective.MINIMIZE_MAX_DRAWDOWN, 35, "certified"),
        (Objective.MINIMIZE_MAX_DRAWDOWN, 224, "certified"),
    ],
)
def test_what_the_campaign_found_stays_mended(objective: Objective, seed: int, kind: str) -> None:
    outcome = run_one((objective.value, seed), every=1)
    assert (outcome.kind, outcome.trouble) == (kind, "")

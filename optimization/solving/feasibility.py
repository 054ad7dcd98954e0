"""What is refused before it is queued: cheap checks in the web process, which load no solver."""

import numpy as np

from optimization.engine.errors import EngineError, NoExcessReturnError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.objectives import EXCESS_RATIOS
from optimization.engine.problem import Method, Problem
from optimization.engine.registry import check_available
from optimization.engine.support import check_supported
from optimization.errors import InvalidRequestError
from optimization.models import Kind, OptimizationRequest
from optimization.solving.problems import MarketProblem, build_problem


def check_request(request: OptimizationRequest) -> MarketProblem:
    """Refuse a request that cannot have an answer, before it takes anybody's place.

    Raises:
        InvalidRequestError: Bounds in conflict, a method that is not there, no excess return.
        MarketDataUnavailableError: A symbol is unknown or its history too short.
    """
    try:
        check_available(Method(request.method))
        market = build_problem(request)
        check_supported(Method(request.method), market.problem)
        feasible = FeasibleSet.of(market.problem)
        seeks_ratio = market.problem.objective in EXCESS_RATIOS
        if seeks_ratio and request.kind == Kind.OPTIMIZATION:
            _check_excess_return(market.problem, feasible)
    except EngineError as error:
        raise InvalidRequestError(error.message, error.fields, error.code) from error
    return market


def _check_excess_return(problem: Problem, feasible: FeasibleSet) -> None:
    """Find the largest mean excess return of any feasible portfolio (a continuous knapsack)."""
    excess = problem.returns.mean(axis=0) - problem.period_risk_free_rate
    best = float(feasible.lower @ excess)
    room = feasible.budget_high - float(feasible.lower.sum())
    owed = feasible.budget_low - float(feasible.lower.sum())
    for asset in np.argsort(-excess):
        if excess[asset] <= 0 and owed <= 0:
            break
        step = min(float(feasible.upper[asset] - feasible.lower[asset]), room)
        best += step * float(excess[asset])
        room, owed = room - step, owed - step
    if best <= 0:
        raise NoExcessReturnError(
            "every feasible portfolio earns less than the risk-free rate over this window, so"
            f" {problem.objective} has no answer; lower parameters.risk_free_rate, or choose"
            " minimize_variance or another objective",
            ["objective", "parameters.risk_free_rate"],
        )

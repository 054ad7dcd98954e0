"""What is refused before it is queued: cheap checks in the web process, which load no solver."""

import threading
from collections import OrderedDict

import numpy as np
from django.conf import settings

from marketdata.errors import MarketDataError
from optimization.engine.errors import EngineError, NoExcessReturnError
from optimization.engine.feasible import FeasibleSet
from optimization.engine.objectives import EXCESS_RATIOS
from optimization.engine.problem import Method, Problem
from optimization.engine.registry import check_available
from optimization.engine.support import check_supported
from optimization.errors import InvalidRequestError
from optimization.models import Kind, OptimizationRequest
from optimization.solving.problems import MarketProblem, build_problem, data_version
from optimization.solving.result_cache import cache_key

REMEMBERED_VERDICTS = 4096
"""Requests that a process remembers to have found sound: some 100 bytes each."""


def check_again(request: OptimizationRequest) -> str:
    """Refuse what :func:`check_request` refuses, unless this process has let the same pass before.

    The same portfolio is asked for again and again, most of all by a watcher between a tick and its
    frame. Of one data version a verdict holds good: only today's unfinished return, if a request
    includes it, may differ, and of that the solver is the judge.

    Returns:
        The data version that it is sound on.

    Raises:
        RequestError: As :func:`check_request`.
    """
    try:
        version = data_version.get()
    except MarketDataError:
        # Which it says in the words of a request.
        return check_request(request).window.data_version
    key = f"{settings.DEFAULT_LOOKBACK}:{cache_key(request, version)}"
    if not _verdicts.holds(key):
        version = check_request(request).window.data_version
        _verdicts.add(key)
    return version


class _Verdicts:
    """Names of what was found sound, the newest of them; for any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, name: str) -> bool:
        with self._lock:
            if name in self._names:
                self._names.move_to_end(name)
                return True
            return False

    def add(self, name: str) -> None:
        with self._lock:
            self._names[name] = None
            if len(self._names) > self._most:
                self._names.popitem(last=False)


_verdicts = _Verdicts(REMEMBERED_VERDICTS)


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

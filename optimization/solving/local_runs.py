"""Solving in this process, without a queue: for the commands that need no server."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from optimization.engine import Method, Objective, Solution, efficient_frontier, solve
from optimization.engine.errors import EngineError
from optimization.engine.problem import Constraints, OnProgress
from optimization.engine.registry import ignore_progress
from optimization.errors import InvalidRequestError
from optimization.models import OptimizationRequest
from optimization.parameters import DataParameters
from optimization.queue.lanes import LANES
from optimization.solving.feasibility import check_request
from optimization.solving.problems import MarketProblem
from optimization.solving.results import PointRecord, frontier_document, result_document
from optimization.submissions import constraints_document


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRequest:
    """What to solve here.

    Attributes:
        symbols: What to hold.
        objective: What to optimise.
        constraints: What to satisfy.
        method: How to solve.
        parameters: As on the wire.
        data_version: Which bars; the current ones when empty.
    """

    symbols: tuple[str, ...]
    objective: Objective = Objective.MAXIMIZE_SHARPE
    constraints: Constraints = field(default_factory=Constraints)
    method: Method = Method.MEAN_VARIANCE
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data_version: str = ""

    def row(self) -> OptimizationRequest:
        """The request as it would be recorded; nothing is saved."""
        return OptimizationRequest(
            request_id="local",
            owner="local",
            client_id="local",
            method=self.method.value,
            objective=self.objective.value,
            lane=LANES[self.method].value,
            symbols=list(self.symbols),
            constraints=constraints_document(self.constraints),
            parameters=dict(self.parameters),
            data_version=self.data_version,
            created_at=timezone.now(),
        )


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A solved request.

    Attributes:
        request: What was asked, not saved.
        market: The problem and its window.
        solution: The engine's answer.
    """

    request: OptimizationRequest
    market: MarketProblem
    solution: Solution

    def document(self) -> dict[str, Any]:
        """Weights, metrics and metadata, as a worker would record them."""
        return result_document(self.request, self.market, self.solution)


def run_locally(
    request: OptimizationRequest, on_progress: OnProgress = ignore_progress
) -> LocalRun:
    """Solve a request here by the same steps as a worker.

    Raises:
        RequestError: It is refused, or no solver found an answer.
    """
    return solve_locally(request, check_request(request), on_progress)


def solve_locally(
    request: OptimizationRequest,
    market: MarketProblem,
    on_progress: OnProgress = ignore_progress,
) -> LocalRun:
    """Solve a request here on a problem that is stated already.

    Raises:
        InvalidRequestError: No solver found an answer.
    """
    seed = DataParameters.of(request.parameters).seed
    try:
        solution = solve(
            market.problem,
            method=Method(request.method),
            rng=seed,
            parameters=request.parameters,
            on_progress=on_progress,
        )
    except EngineError as error:
        raise InvalidRequestError(error.message, error.fields, error.code) from error
    return LocalRun(request, market, solution)


def trace_locally(request: OptimizationRequest, market: MarketProblem) -> dict[str, Any]:
    """Trace the frontier of a request here, as a worker would record it.

    Raises:
        InvalidRequestError: No solver found an answer.
    """
    count = DataParameters.of(request.parameters).points
    try:
        points = efficient_frontier(market.problem, count, parameters=request.parameters)
    except EngineError as error:
        raise InvalidRequestError(error.message, error.fields, error.code) from error
    records = [PointRecord.of(market.problem.symbols, point) for point in points]
    return frontier_document(request, market, records)

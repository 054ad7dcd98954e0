"""The document of a result: what the row, the cache and the frame hold, alike."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from optimization.engine.frontier import FrontierPoint
from optimization.engine.problem import Solution
from optimization.models import OptimizationRequest
from optimization.parameters import DataParameters
from optimization.solving.problems import MarketProblem


def result_document(
    request: OptimizationRequest, market: MarketProblem, solution: Solution
) -> dict[str, Any]:
    """Weights, metrics and metadata of a solved request, JSON-ready."""
    symbols = market.problem.symbols
    return {
        "weights": dict(zip(symbols, solution.weights.tolist(), strict=True)),
        "metrics": dict(solution.metrics),
        "metadata": {
            # First, so that nothing a solver adds replaces what a result promises to say.
            **solution.diagnostics,
            **_request_document(request),
            "solver": solution.solver,
            "solve_time": solution.solve_time,
            "optimality_gap": solution.optimality_gap,
            "max_violation": solution.max_violation,
            "binding_constraints": [asdict(binding) for binding in solution.binding],
            "risk_contributions": _risk_contributions(symbols, solution),
            "covariance": solution.covariance,
            **market_document(market),
        },
    }


def frontier_document(
    request: OptimizationRequest, market: MarketProblem, points: Sequence[FrontierPoint]
) -> dict[str, Any]:
    """The points of a frontier and what they stand on, JSON-ready."""
    solutions = [point.solution for point in points]
    gaps = [s.optimality_gap for s in solutions if s.optimality_gap is not None]
    return {
        "points": [point_document(market.problem.symbols, point) for point in points],
        "metadata": {
            **_request_document(request),
            "solver": ", ".join(sorted({solution.solver for solution in solutions})),
            "solve_time": sum(solution.solve_time for solution in solutions),
            "optimality_gap": max(gaps, default=None),
            "max_violation": max(solution.max_violation for solution in solutions),
            "covariance": solutions[0].covariance,
            **market_document(market),
        },
    }


def point_document(symbols: Sequence[str], point: FrontierPoint) -> dict[str, Any]:
    """One point of a frontier, JSON-ready."""
    solution = point.solution
    return {
        "index": point.index,
        "target_return": point.target_return,
        "weights": dict(zip(symbols, solution.weights.tolist(), strict=True)),
        "metrics": dict(solution.metrics),
        "optimality_gap": solution.optimality_gap,
    }


def _request_document(request: OptimizationRequest) -> dict[str, Any]:
    return {
        "objective": request.objective,
        "constraints": request.constraints,
        "method": request.method,
        "parameters": request.parameters,
        "request_metadata": request.metadata,
        "seed": DataParameters.of(request.parameters).seed,
    }


def market_document(market: MarketProblem) -> dict[str, Any]:
    """Which data a result stands on."""
    window = market.window
    described: dict[str, Any] = {
        "start": str(window.start),
        "end": str(window.end),
        "observations": market.problem.n_observations,
        "partial": market.live is not None,
    }
    if market.live is not None:
        # No bar will ever hold it: without it the run could not be repeated.
        described["live_returns"] = dict(
            zip(window.symbols, market.live.returns.tolist(), strict=True)
        )
    return {
        "data_version": window.data_version,
        "data_sources": dict(window.sources),
        "market_data_timestamp": market.quoted_at,
        "window": described,
    }


def _risk_contributions(symbols: tuple[str, ...], solution: Solution) -> Mapping[str, float] | None:
    if solution.risk_contributions is None:
        return None
    return dict(zip(symbols, solution.risk_contributions.tolist(), strict=True))

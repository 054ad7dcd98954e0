"""The document of a result: what the row, the cache and the frame hold, alike."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from optimization.engine.problem import Solution
from optimization.models import OptimizationRequest
from optimization.parameters import DataParameters
from optimization.problems import MarketProblem


def result_document(
    request: OptimizationRequest, market: MarketProblem, solution: Solution
) -> dict[str, Any]:
    """Weights, metrics and metadata of a solved request, JSON-ready."""
    symbols = market.problem.symbols
    return {
        "weights": dict(zip(symbols, solution.weights.tolist(), strict=True)),
        "metrics": dict(solution.metrics),
        "metadata": {
            "objective": request.objective,
            "constraints": request.constraints,
            "method": request.method,
            "parameters": request.parameters,
            "request_metadata": request.metadata,
            "solver": solution.solver,
            "solve_time": solution.solve_time,
            "optimality_gap": solution.optimality_gap,
            "max_violation": solution.max_violation,
            "binding_constraints": [asdict(binding) for binding in solution.binding],
            "risk_contributions": _risk_contributions(symbols, solution),
            "covariance": solution.covariance,
            "seed": DataParameters.of(request.parameters).seed,
            **market_document(market),
            **solution.diagnostics,
        },
    }


def market_document(market: MarketProblem) -> dict[str, Any]:
    """Which data a result stands on."""
    window = market.window
    return {
        "data_version": window.data_version,
        "data_sources": dict(window.sources),
        "market_data_timestamp": market.quoted_at,
        "window": {
            "start": str(window.start),
            "end": str(window.end),
            "observations": market.problem.n_observations,
            "partial": market.partial,
        },
    }


def _risk_contributions(symbols: tuple[str, ...], solution: Solution) -> Mapping[str, float] | None:
    if solution.risk_contributions is None:
        return None
    return dict(zip(symbols, solution.risk_contributions.tolist(), strict=True))

"""The documents of a result and an error: what the row, the cache and the frame hold, alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from optimization.engine.frontier import FrontierPoint
from optimization.engine.problem import BindingConstraint, Solution
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
            "binding_constraints": [_binding_document(binding) for binding in solution.binding],
            "risk_contributions": _risk_contributions(symbols, solution),
            "covariance": solution.covariance,
            **market_document(market),
        },
    }


def error_document(code: str, message: str, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Why a request failed, JSON-ready."""
    return {"code": code, "detail": message, "fields": list(fields)}


@dataclass(frozen=True, slots=True)
class PointRecord:
    """One point of a frontier as it is told and recorded, whichever worker found it.

    Attributes:
        index: Its place, 0 for the least risk.
        target_return: Expected return a year that was asked for.
        weights: Fraction of capital per symbol.
        metrics: As of any portfolio.
        optimality_gap: Certified relative distance to the optimum, or None where no bound exists.
        max_violation: Largest violation of any constraint.
        solver: Which one found it.
        solve_time: Seconds.
        covariance: ``"sample"`` or ``"ledoit_wolf"``.
    """

    index: int
    target_return: float
    weights: Mapping[str, float]
    metrics: Mapping[str, float | None]
    optimality_gap: float | None
    max_violation: float
    solver: str
    solve_time: float
    covariance: str

    @classmethod
    def of(cls, symbols: Sequence[str], point: FrontierPoint) -> Self:
        """What is recorded of a point that the engine found."""
        solution = point.solution
        return cls(
            index=point.index,
            target_return=point.target_return,
            weights=dict(zip(symbols, solution.weights.tolist(), strict=True)),
            metrics=dict(solution.metrics),
            optimality_gap=solution.optimality_gap,
            max_violation=solution.max_violation,
            solver=solution.solver,
            solve_time=solution.solve_time,
            covariance=solution.covariance,
        )

    @property
    def document(self) -> dict[str, Any]:
        """What a client is told, JSON-ready."""
        told = ("index", "target_return", "weights", "metrics", "optimality_gap")
        return {name: getattr(self, name) for name in told}


def frontier_document(
    request: OptimizationRequest, market: MarketProblem, points: Sequence[PointRecord]
) -> dict[str, Any]:
    """The points of a frontier and what they stand on, JSON-ready."""
    gaps = [point.optimality_gap for point in points if point.optimality_gap is not None]
    return {
        "points": [point.document for point in points],
        "metadata": {
            **_request_document(request),
            "solver": ", ".join(sorted({point.solver for point in points})),
            "solve_time": sum(point.solve_time for point in points),
            "optimality_gap": max(gaps, default=None),
            "max_violation": max(point.max_violation for point in points),
            "covariance": points[0].covariance,
            **market_document(market),
        },
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


def _binding_document(binding: BindingConstraint) -> dict[str, Any]:
    # By name: dataclasses.asdict copies each value deeply, which takes as long as some solves.
    return {
        "name": binding.name,
        "symbol": binding.symbol,
        "bound": binding.bound,
        "shadow_price": binding.shadow_price,
        "sentence": binding.sentence,
    }


def _risk_contributions(symbols: tuple[str, ...], solution: Solution) -> Mapping[str, float] | None:
    if solution.risk_contributions is None:
        return None
    return dict(zip(symbols, solution.risk_contributions.tolist(), strict=True))

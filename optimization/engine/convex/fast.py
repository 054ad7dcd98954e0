"""The fast paths: one per objective, for constraints that are linear in the weights.

Limits on traded and absolute weights are so too, by the sign patterns that matter, which are few
where assets are. What trading costs is not, so all objectives that count it but the return are left
to the general path.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from optimization.engine.convex.binding_deviation import lies_on_frontier, optimum_on_limit
from optimization.engine.convex.certificate import Evidence
from optimization.engine.convex.drawdown import DrawdownStart, minimise_drawdown
from optimization.engine.convex.instance import Instance
from optimization.engine.convex.linear import minimise_linear
from optimization.engine.convex.loss import AbsoluteLoss, TailLoss
from optimization.engine.convex.patterns import exceeded_patterns
from optimization.engine.convex.quadratic import Mask, QuadraticProgramme
from optimization.engine.convex.ratio import Tangency, holds_nothing, maximise_ratio
from optimization.engine.convex.region import Row
from optimization.engine.convex.scenarios import ScenarioOptimum, ScenarioStart, minimise_loss
from optimization.engine.convex.sortino import maximise_sortino
from optimization.engine.errors import SolverFailureError
from optimization.engine.problem import FloatArray, Objective

Polish = Callable[[], FloatArray | None]

FREE_OF_COSTS = frozenset({Objective.MINIMIZE_VARIANCE, Objective.MAXIMIZE_DIVERSIFICATION})
"""Objectives in which what trading costs does not count."""

PATTERNS, MOST_ASSETS = 40, 32
"""A tight limit on trades takes about as many patterns as there are assets, and beyond so many of
these longer than CVXPY."""

EXCEEDED = 1e-12
"""Excess over a limit on trades beyond which a pattern is added: DAQP's own tolerance."""


@dataclass(frozen=True)
class Warm:
    """What one solution leaves behind for the next of nearly the same problem.

    Attributes:
        working: Assets that a quadratic programme worked with.
        tangency: The last portfolio of the greatest ratio.
        scenarios: The last portfolio of the least loss over scenarios.
        drawdown: The last portfolio of the least drawdown.
    """

    working: Mask | None = None
    tangency: Tangency | None = None
    scenarios: ScenarioStart | None = None
    drawdown: DrawdownStart | None = None

    def fits(self, instance: Instance) -> bool:
        """Whether it was left by a problem of as many assets."""
        n = instance.region.n_assets
        lengths = {
            *(len(found.weights) for found in (self.tangency,) if found),
            *(len(found.weights) for found in (self.scenarios, self.drawdown) if found),
            *(len(found) for found in (self.working,) if found is not None),
        }
        return lengths <= {n}


@dataclass(frozen=True)
class FastOutcome:
    """Weights from a fast path, what certifies them, and what speeds up the next solution.

    Attributes:
        weights: Shape (n,).
        evidence: What the solver knows beyond them.
        solver: Its name.
        warm: For the next solution.
        polish: Where a certificate is not sharp, better weights, or None if there are none.
    """

    weights: FloatArray
    evidence: Evidence
    solver: str
    warm: Warm
    polish: Polish | None = None


COLD = Warm()


def is_fast(instance: Instance) -> bool:
    """Whether a fast path knows the objective and every constraint."""
    region, objective = instance.region, instance.objective
    if region.is_linear or objective == Objective.MAXIMIZE_RETURN:
        return objective in _PATHS
    if region.n_assets > MOST_ASSETS or (region.has_costs and objective not in FREE_OF_COSTS):
        return False
    return objective in _PATHS


def solve_fast(instance: Instance, warm: Warm = COLD) -> FastOutcome:
    """Solve by the objective's fast path.

    Raises:
        InfeasibleProblemError: No portfolio satisfies the constraints.
        SolverFailureError: It did not settle; the general path may.
    """
    region = instance.region
    by_patterns = region.n_assets <= MOST_ASSETS and not (
        region.has_costs and instance.objective == Objective.MAXIMIZE_RETURN
    )
    if region.is_linear or not by_patterns:
        return _solve_within_limits(instance, warm)
    rows = region.rows
    for _ in range(PATTERNS):
        flat = replace(region.without_trades(), rows=rows)
        outcome = _solve_within_limits(instance.with_region(flat), warm)
        exceeded = tuple(exceeded_patterns(region, outcome.weights, EXCEEDED))
        if not exceeded:
            return outcome
        if all(any(_are_alike(row, known) for known in rows) for row in exceeded):
            break
        rows, warm = (*rows, *exceeded), outcome.warm
    raise SolverFailureError("limits on trades are exceeded, whichever sign patterns are added")


def _solve_within_limits(instance: Instance, warm: Warm) -> FastOutcome:
    """The optimum of a linear region within the limits on deviations."""
    outcome = _PATHS[instance.objective](instance, warm)
    if all(
        instance.covariance.variance(outcome.weights - origin) <= limit**2
        for _, limit, origin in instance.cones
    ):
        return outcome
    if not lies_on_frontier(instance):
        raise SolverFailureError("a limit on a deviation binds, which this path does not know")
    weights, evidence = optimum_on_limit(instance)
    return replace(outcome, weights=weights, evidence=evidence, solver="daqp", polish=None)


def _are_alike(one: Row, other: Row) -> bool:
    return one.field == other.field and np.array_equal(one.coefficients, other.coefficients)


def _variance(instance: Instance, warm: Warm) -> FastOutcome:
    programme = QuadraticProgramme(instance.covariance, instance.region, warm.working)
    nothing = np.zeros(instance.region.n_assets)
    face = programme.solve(nothing)

    def polish() -> FloatArray | None:
        # On a singular Σ the ridge shows; the face's own equations leave it out.
        exact, _ = programme.along(face, nothing)
        return exact if programme.contains(exact, 1e-12) else None

    return FastOutcome(face.weights, Evidence(), "daqp", Warm(working=programme.working), polish)


def _sharpe(instance: Instance, warm: Warm) -> FastOutcome:
    best = maximise_ratio(instance.covariance, instance.gain, instance.region, warm.tangency)
    return FastOutcome(best.weights, Evidence(), "daqp", Warm(tangency=best.for_later), best.polish)


def _sortino(instance: Instance, warm: Warm) -> FastOutcome:
    best = maximise_sortino(instance.excess, instance.mean, instance.region, warm.tangency)
    return FastOutcome(best.weights, Evidence(), "daqp", Warm(tangency=best.for_later), best.polish)


def _utility(instance: Instance, warm: Warm) -> FastOutcome:
    programme = QuadraticProgramme(instance.covariance, instance.region, warm.working)
    tilt = instance.mean / instance.problem.risk_aversion
    face = programme.solve(-tilt)
    base, slope = programme.along(face, tilt)
    weights = base + slope if programme.contains(base + slope) else face.weights
    return FastOutcome(weights, Evidence(), "daqp", Warm(working=programme.working))


def _return(instance: Instance, _warm: Warm) -> FastOutcome:
    best = minimise_linear(-instance.mean, instance.region, 1.0)
    solver = "sorting" if instance.region.is_box else "highs"
    return FastOutcome(best.weights, Evidence(), solver, COLD)


def _cvar(instance: Instance, warm: Warm) -> FastOutcome:
    region, loss = instance.region, TailLoss(instance.excess, instance.tail)
    start = warm.scenarios
    if holds_nothing(region) and not region.lower.any() and region.is_box:
        # CVaR grows with scale: if no portfolio of weight one has a negative one, cash is best.
        whole = replace(region, upper=np.ones(region.n_assets), budget_low=1.0, budget_high=1.0)
        best = minimise_loss(instance.with_region(whole), loss, start)
        if best.value >= 0:
            return replace(_from_scenarios(best), weights=np.zeros(region.n_assets))
        start = None
    return _from_scenarios(minimise_loss(instance, loss, start))


def _mad(instance: Instance, warm: Warm) -> FastOutcome:
    best = minimise_loss(instance, AbsoluteLoss(instance.centred), warm.scenarios)
    return replace(_from_scenarios(best), evidence=Evidence(-best.share * len(best.share)))


def _drawdown(instance: Instance, warm: Warm) -> FastOutcome:
    best = minimise_drawdown(instance, warm.drawdown)
    later = Warm(drawdown=best.for_later)
    return FastOutcome(best.weights, Evidence(best.share), best.solver, later)


def _from_scenarios(best: ScenarioOptimum) -> FastOutcome:
    later = Warm(scenarios=best.for_later)
    return FastOutcome(best.weights, Evidence(best.share), "highs", later)


_PATHS = {
    Objective.MINIMIZE_VARIANCE: _variance,
    Objective.MAXIMIZE_SHARPE: _sharpe,
    Objective.MAXIMIZE_SORTINO: _sortino,
    Objective.MAXIMIZE_RETURN: _return,
    Objective.MINIMIZE_CVAR: _cvar,
    Objective.MINIMIZE_MAD: _mad,
    Objective.MINIMIZE_CDAR: _drawdown,
    Objective.MINIMIZE_MAX_DRAWDOWN: _drawdown,
    Objective.MAXIMIZE_UTILITY: _utility,
    Objective.MAXIMIZE_DIVERSIFICATION: _sharpe,
}

"""Portfolios that follow a rule rather than a cost: risk parity and the usual baselines.

A rule fixes the weights, so bounds cannot be traded against anything: weights that break a
constraint are refused, never bent.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.errors import (
    InvalidProblemError,
    UnboundedProblemError,
    UnsupportedProblemError,
)
from optimization.engine.moments import LEDOIT_WOLF
from optimization.engine.problem import FloatArray, Objective

NEWTON_STEPS = 200
SETTLED = 1e-13
TOLERANCE = 1e-9
ENDLESS = 1e6
"""A position this large, in units of one asset's risk, grows without end."""


@dataclass(frozen=True)
class RuleOutcome:
    """Weights by a rule.

    Attributes:
        weights: Shape (n,).
        solver: What computed them.
        gap: Largest relative miss of a risk budget, or None for a rule without a target.
    """

    weights: FloatArray
    solver: str
    gap: float | None = None


def solve_rule(instance: Instance) -> RuleOutcome:
    """Weights by the objective's rule, refused if they break a constraint.

    Raises:
        UnsupportedProblemError: The rule's weights break a constraint.
        InvalidProblemError: An asset has no risk to share.
        UnboundedProblemError: The assets hedge each other entirely.
    """
    outcome = _RULES[instance.objective](instance)
    violation = instance.violation(outcome.weights)
    if violation > TOLERANCE:
        largest = int(np.argmax(outcome.weights))
        raise UnsupportedProblemError(
            f"{instance.objective} fixes the weights, and they break a constraint by"
            f" {violation:.4g} (the largest is {instance.problem.symbols[largest]} with"
            f" {outcome.weights[largest]:.4g}); relax the constraints or choose an objective that"
            " trades them off, such as minimize_variance",
            ["objective", "constraints"],
        )
    return outcome


def is_rule(objective: Objective) -> bool:
    """Whether an objective is a rule."""
    return objective in _RULES


def _equal_weight(instance: Instance) -> RuleOutcome:
    n = instance.region.n_assets
    return RuleOutcome(np.full(n, 1.0 / n), "closed form")


def _inverse_volatility(instance: Instance) -> RuleOutcome:
    deviations = np.sqrt(instance.covariance.variances)
    _check_risky(instance)
    inverse = 1.0 / deviations
    return RuleOutcome(inverse / inverse.sum(), "closed form")


def _check_risky(instance: Instance) -> None:
    riskless = np.flatnonzero(np.ptp(instance.problem.returns, axis=0) == 0)
    if len(riskless):
        symbol = instance.problem.symbols[int(riskless[0])]
        raise InvalidProblemError(
            f"{symbol} never moved in this window, so {instance.objective} has no answer; leave"
            " it out or use a longer window",
            [f"symbols[{int(riskless[0])}]"],
        )


def _risk_parity(instance: Instance) -> RuleOutcome:
    """Minimise ½y'Σy − Σ b·log y by damped Newton; its optimum's risk shares are b.

    Maillard, Roncalli and Teïletche, *The properties of equally weighted risk contribution
    portfolios* (2010); Spinu, *An algorithm for computing risk parity weights* (2013).
    """
    deviations = np.sqrt(instance.covariance.variances)
    _check_risky(instance)
    budgets = _budgets(instance)
    correlation = instance.covariance.dense / np.outer(deviations, deviations)
    y = np.sqrt(budgets / float(budgets @ correlation @ budgets)) + 0.0
    for _ in range(NEWTON_STEPS):
        gradient = correlation @ y - budgets / y
        if float(y.max()) > ENDLESS:
            raise UnboundedProblemError(
                "some of the assets hedge each other entirely in this window, so there is no risk"
                " to share; use a longer window",
                ["symbols", "parameters.lookback"],
            )
        hessian = correlation + np.diag(budgets / y**2)
        step = np.linalg.solve(hessian, gradient)
        decrement = float(np.sqrt(max(gradient @ step, 0.0)))
        # Spinu's step length: the logarithms are self-concordant once scaled by √min b.
        damped = decrement / float(np.sqrt(budgets.min()))
        y = y - step / (1.0 + damped) if damped > 0.25 else y - step
        if decrement <= SETTLED:
            break
    weights = y / deviations
    weights /= weights.sum()
    shares = weights * instance.covariance.times(weights)
    shares /= shares.sum()
    return RuleOutcome(weights, "newton", float(np.abs(shares / budgets - 1.0).max()))


def _budgets(instance: Instance) -> FloatArray:
    """Share of the risk per asset, shape (n,); what is not spoken for is shared equally."""
    given = instance.problem.risk_budgets or {}
    open_assets = instance.region.n_assets - len(given)
    rest = (1.0 - sum(given.values())) / open_assets if open_assets else 0.0
    budgets = np.array([given.get(symbol, rest) for symbol in instance.problem.symbols])
    if float(budgets.min()) <= 0:
        raise UnsupportedProblemError(
            "the risk budgets leave nothing for some assets; leave those assets out or give every"
            " asset a share",
            ["parameters.risk_budgets"],
        )
    return budgets


def _hierarchical(instance: Instance) -> RuleOutcome:
    """López de Prado's hierarchical risk parity (2016), as skfolio computes it."""
    if instance.region.n_assets == 1:
        return RuleOutcome(np.ones(1), "skfolio")
    _check_risky(instance)
    optimization = import_module("skfolio.optimization")
    prior = import_module("skfolio.prior")
    moments = import_module("skfolio.moments")
    shrunk = instance.covariance.kind == LEDOIT_WOLF
    estimator = moments.LedoitWolf() if shrunk else moments.EmpiricalCovariance()
    model = optimization.HierarchicalRiskParity(
        prior_estimator=prior.EmpiricalPrior(covariance_estimator=estimator),
        min_weights=np.maximum(instance.region.lower, 0.0),
        max_weights=instance.region.upper,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skfolio's remarks on data that was checked already
        model.fit(np.asarray(instance.problem.returns))
    return RuleOutcome(np.asarray(model.weights_, dtype=np.float64), "skfolio")


_RULES: Mapping[Objective, Callable[[Instance], RuleOutcome]] = {
    Objective.EQUAL_WEIGHT: _equal_weight,
    Objective.INVERSE_VOLATILITY: _inverse_volatility,
    Objective.RISK_PARITY: _risk_parity,
    Objective.HIERARCHICAL_RISK_PARITY: _hierarchical,
}

"""Portfolios that follow a rule rather than a cost: risk parity and the usual baselines.

A rule fixes the weights, so bounds cannot be traded against anything: weights that break a
constraint are refused, never bent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from optimization.engine.convex.instance import Instance
from optimization.engine.errors import (
    InvalidProblemError,
    SolverFailureError,
    UnboundedProblemError,
    UnsupportedProblemError,
)
from optimization.engine.problem import FloatArray, Objective

NEWTON_STEPS = 200
SETTLED = 1e-13
TOLERANCE = 1e-9
MET = 1e-8
"""Largest relative miss of a risk budget that still meets it."""

NEAR = 1e-6
SHORT_OF = 0.95
"""Share of the way to zero that a step may take a position."""

HALVINGS = 40
TREE = "hierarchical tree"
"""What is said to have solved hierarchical risk parity."""

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
    """Minimise ½y'Σy − Σ b·log y by Newton's method; its optimum's risk shares are b.

    Maillard, Roncalli and Teïletche, *The properties of equally weighted risk contribution
    portfolios* (2010); Spinu, *An algorithm for computing risk parity weights* (2013).

    Raises:
        SolverFailureError: The budgets were not met.
        UnboundedProblemError: The assets hedge each other entirely.
    """
    _check_risky(instance)
    covariance, budgets = instance.covariance, _budgets(instance)
    deviations = np.sqrt(covariance.variances)
    # Of the assets' own risks, so that every unit is one of its kind: F'F is their correlation.
    dense = covariance.dense / np.outer(deviations, deviations)
    outcome = _shared(_Risk(dense), budgets, deviations)
    if outcome.gap is not None and outcome.gap > TOLERANCE:
        # What nearly cancels has lost its digits in Σ, not in a root of it.
        outcome = _shared(_Risk(dense, covariance.root() / deviations), budgets, deviations)
    if outcome.gap is None or outcome.gap > MET:
        raise SolverFailureError(
            "no portfolio was found whose shares of the risk are the risk budgets; use a longer"
            " window, leave out assets that hedge each other, or raise the smallest budgets",
            ["symbols", "parameters.risk_budgets", "parameters.lookback"],
        )
    return outcome


@dataclass(frozen=True)
class _Risk:
    """A correlation, and how its products are taken.

    Attributes:
        matrix: Shape (n, n).
        root: F with F'F equal to it, whose products are exact where assets nearly cancel, or None.
    """

    matrix: FloatArray
    root: FloatArray | None = None

    def times(self, y: FloatArray) -> FloatArray:
        """The matrix times y."""
        if self.root is None:
            return np.asarray(self.matrix @ y)
        return np.asarray(self.root.T @ (self.root @ y))

    def cost(self, y: FloatArray, budgets: FloatArray) -> float:
        """½y'Cy − Σ b·log y."""
        outcomes = self.times(y) @ y if self.root is None else float(((self.root @ y) ** 2).sum())
        return 0.5 * float(outcomes) - float(budgets @ np.log(y))


def _shared(risk: _Risk, budgets: FloatArray, deviations: FloatArray) -> RuleOutcome:
    """Weights whose shares of the risk are the budgets, with the largest relative miss.

    Raises:
        UnboundedProblemError: The assets hedge each other entirely.
    """
    y: FloatArray = np.sqrt(budgets)
    for _ in range(NEWTON_STEPS):
        gradient: FloatArray = risk.times(y) - budgets / y
        hessian = risk.matrix + np.diag(budgets / y**2)
        try:
            step: FloatArray = np.asarray(np.linalg.solve(hessian, gradient))
        except np.linalg.LinAlgError as error:
            raise _endless() from error
        decrement = float(np.sqrt(max(float(gradient @ step), 0.0)))
        y = _stepped(risk, budgets, y, step, decrement)
        if float(y.max()) > ENDLESS:
            raise _endless()
        if decrement <= SETTLED:
            break
    shares = y * risk.times(y)
    weights = y / deviations
    gap = float(np.abs(shares / (shares.sum() * budgets) - 1.0).max())
    return RuleOutcome(weights / weights.sum(), "newton", gap)


def _stepped(
    risk: _Risk, budgets: FloatArray, y: FloatArray, step: FloatArray, decrement: float
) -> FloatArray:
    """Newton's step, shortened until all y stay positive and the cost falls."""
    ratio = float((step / y).max())
    length = min(1.0, SHORT_OF / ratio) if ratio > 0 else 1.0
    if length == 1.0 and decrement <= NEAR:
        return y - step  # here the cost falls by less than it is rounded
    before = risk.cost(y, budgets)
    for _ in range(HALVINGS):
        if risk.cost(y - length * step, budgets) <= before - 0.1 * length * decrement**2:
            break
        length *= 0.5
    return np.asarray(y - length * step)


def _endless() -> UnboundedProblemError:
    return UnboundedProblemError(
        "some of the assets hedge each other entirely in this window, so there is no risk"
        " to share; use a longer window",
        ["symbols", "parameters.lookback"],
    )


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
    """Capital split along a tree of like assets, within the bounds.

    Raises:
        UnsupportedProblemError: It holds every asset and the whole capital, which bounds forbid.
        InvalidProblemError: The assets' correlations do not tell their risks apart.
    """
    if instance.region.n_assets == 1:
        return RuleOutcome(np.ones(1), TREE)
    _check_risky(instance)
    lower, upper = np.maximum(instance.region.lower, 0.0), instance.region.upper
    _check_room(instance, lower, upper)
    hierarchy = import_module("optimization.engine.convex.hierarchy")
    # Whatever estimator tells the risks, how like assets are is read off their returns.
    centred, weights = instance.centred, None
    with np.errstate(all="ignore"):  # where nothing can be told from it, that is said below
        alike = centred.T @ centred
        size = np.sqrt(alike.diagonal())
        alike /= np.outer(size, size)
        if np.isfinite(alike).all():
            order = hierarchy.leaf_order(alike)
            weights = hierarchy.split_by_risk(instance.covariance.dense, order, lower, upper)
    if weights is None:
        raise InvalidProblemError(
            "some of the assets hardly move or hedge each other entirely in this window, so their"
            " risks cannot be split along a tree; use a longer window or leave them out",
            ["symbols", "parameters.lookback"],
        )
    return RuleOutcome(weights, TREE)


def _check_room(instance: Instance, lower: FloatArray, upper: FloatArray) -> None:
    """Refuse bounds that leave no long portfolio of the whole capital."""
    most, least = float(upper.sum()), float(lower.sum())
    if bool((lower <= upper).all()) and least <= 1.0 + TOLERANCE and most >= 1.0 - TOLERANCE:
        return
    raise UnsupportedProblemError(
        f"{instance.objective} holds every asset long and the whole capital, and the bounds allow"
        f" it between {least:.4g} and {most:.4g} of it; relax them or choose an objective that"
        " knows cash and short positions, such as minimize_variance",
        ["objective", "constraints"],
    )


_RULES: Mapping[Objective, Callable[[Instance], RuleOutcome]] = {
    Objective.EQUAL_WEIGHT: _equal_weight,
    Objective.INVERSE_VOLATILITY: _inverse_volatility,
    Objective.RISK_PARITY: _risk_parity,
    Objective.HIERARCHICAL_RISK_PARITY: _hierarchical,
}

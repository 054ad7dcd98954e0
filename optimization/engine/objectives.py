"""What kinds of objectives there are; their values are in ``measures``."""

from optimization.engine.problem import Objective

CORE = (
    Objective.MINIMIZE_VARIANCE,
    Objective.MAXIMIZE_SHARPE,
    Objective.MAXIMIZE_RETURN,
    Objective.MINIMIZE_CVAR,
    Objective.MAXIMIZE_SORTINO,
)
"""What every method knows."""

RULES = frozenset(
    {
        Objective.RISK_PARITY,
        Objective.HIERARCHICAL_RISK_PARITY,
        Objective.EQUAL_WEIGHT,
        Objective.INVERSE_VOLATILITY,
    }
)
"""Portfolios made by a rule, which minimise nothing under constraints."""

SEARCHED = frozenset(
    {Objective.MINIMIZE_VALUE_AT_RISK, Objective.MAXIMIZE_OMEGA, Objective.MAXIMIZE_CALMAR}
)
"""What the exact method does not know."""

CONVEX = frozenset(Objective) - RULES - SEARCHED
"""What has an exact solver."""

EXACT_ONLY = frozenset(Objective) - SEARCHED - frozenset(CORE)
"""What the exact method alone knows."""

RATIOS = frozenset(
    {
        Objective.MAXIMIZE_SHARPE,
        Objective.MAXIMIZE_SORTINO,
        Objective.MAXIMIZE_DIVERSIFICATION,
    }
)
"""A concave function of the weights over a convex one."""

EXCESS_RATIOS = RATIOS - {Objective.MAXIMIZE_DIVERSIFICATION}
"""What has no maximum unless some portfolio beats the risk-free rate."""

BY_COVARIANCE = frozenset(
    {
        Objective.MAXIMIZE_SHARPE,
        Objective.MINIMIZE_VARIANCE,
        Objective.MAXIMIZE_UTILITY,
        Objective.MAXIMIZE_DIVERSIFICATION,
        Objective.RISK_PARITY,
        Objective.HIERARCHICAL_RISK_PARITY,
        Objective.INVERSE_VOLATILITY,
    }
)
"""What is worked out from an estimated covariance."""

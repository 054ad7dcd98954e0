"""What any portfolio is like, whoever found it."""

import numpy as np

from optimization.engine.covariance import Covariance
from optimization.engine.measures import describe
from optimization.engine.problem import Description, FloatArray, Problem


def describe_portfolio(
    weights: FloatArray, problem: Problem, covariance: Covariance
) -> Description:
    """Metrics and risk contributions of a portfolio, without the constraints that hold it."""
    return Description(
        metrics=describe(weights, problem),
        risk_contributions=risk_contributions(weights, covariance),
    )


def risk_contributions(weights: FloatArray, covariance: Covariance) -> FloatArray | None:
    """Share of the portfolio's variance per asset, shape (n,); None without any variance."""
    marginal = covariance.times(weights)
    variance = float(weights @ marginal)
    return None if variance <= 0 else np.asarray(weights * marginal / variance)

"""Losses over scenarios are the measures of the same names, and their shares say so."""

import numpy as np
import pytest

from optimization.engine import measures
from optimization.engine.convex.loss import AbsoluteLoss, Loss, TailLoss
from optimization.engine.problem import FloatArray
from tests.optimization.engine.convex.linear_reference import draw


def worst(loss: Loss, outcomes: FloatArray) -> float:
    """The largest −q'outcomes over the shares, filled from the worst outcome on."""
    share, order = np.full(len(outcomes), loss.least), np.argsort(outcomes)
    left = np.inf if loss.total is None else loss.total - float(share.sum())
    for period in order:
        gains = outcomes[period] < 0 or loss.total is not None
        step = min(loss.most - loss.least, left) if gains else 0.0
        share[period] += step
        left -= step
    return -float(share @ outcomes)


@pytest.mark.parametrize("tail", [0.01, 0.033, 0.05, 0.1])
@pytest.mark.parametrize("periods", [20, 90, 365])
def test_the_loss_of_a_tail_is_cvar(tail: float, periods: int) -> None:
    returns = draw(np.random.default_rng(periods), 3, periods)
    loss, weights = TailLoss(returns, tail), np.array([0.5, 0.2, 0.3])
    outcomes = returns @ weights
    expected = float(measures.cvar(weights, returns, tail))
    assert loss.value(outcomes) == pytest.approx(expected, rel=1e-12)
    assert worst(loss, outcomes) == pytest.approx(expected, rel=1e-12)


def test_the_value_at_risk_is_where_a_tails_share_turns() -> None:
    returns = draw(np.random.default_rng(1), 1, 200)
    loss = TailLoss(returns, 0.05)
    turn = loss.turn(returns[:, 0])
    assert turn == -float(measures.value_at_risk(np.ones(1), returns, 0.05))
    assert int(np.count_nonzero(returns[:, 0] < turn)) == 10


def test_the_absolute_loss_is_the_mean_absolute_deviation() -> None:
    returns = draw(np.random.default_rng(2), 3, 100)
    loss, weights = AbsoluteLoss(returns - returns.mean(axis=0)), np.array([0.5, 0.2, 0.3])
    expected = float(measures.mean_absolute_deviation(weights, returns))
    outcomes = loss.outcomes @ weights
    assert loss.value(outcomes) == pytest.approx(expected, rel=1e-12)
    assert worst(loss, outcomes) == pytest.approx(expected, rel=1e-12)

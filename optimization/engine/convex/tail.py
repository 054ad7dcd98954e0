"""Probabilities by which CVaR and the drawdowns weigh the periods."""

import numpy as np

from optimization.engine.measures import whole_periods
from optimization.engine.problem import FloatArray


def tail_weights(outcomes: FloatArray, tail: float) -> FloatArray:
    """Probabilities of the worst ``tail`` share of periods, the last one counted in part."""
    count = tail * len(outcomes)
    whole = min(whole_periods(count), len(outcomes))
    share = np.zeros(len(outcomes))
    if whole == 0:
        share[int(np.argmin(outcomes))] = 1.0
        return share
    order = np.argpartition(outcomes, min(whole, len(outcomes) - 1))
    share[order[:whole]] = 1.0 / count
    if whole < len(outcomes):
        share[order[whole]] = max(count - whole, 0.0) / count
    return share


def within_tail(share: FloatArray, tail: float) -> FloatArray:
    """The share rounded into the set that CVaR is the maximum over: 0 ≤ q ≤ 1/(tail·T), Σq = 1."""
    cap = 1.0 / max(tail * len(share), 1.0)
    share = np.clip(share, 0.0, cap)
    total = float(share.sum())
    if total >= 1.0:
        return np.asarray(share / total)
    room = cap - share
    return np.asarray(share + room * ((1.0 - total) / float(room.sum())))


def drawdown_weights(fallen: FloatArray, reached: FloatArray, tail: float) -> FloatArray:
    """Weights s ≥ 0 of the periods with drawdown(p) ≥ −s'p for every p, from a solver's duals.

    A drawdown at t is the loss between a peak and t. Probabilities of the t (at most 1/(tail·T)
    each) and of the peaks, each peak no later than its t, give such weights: period j counts with
    the probability that it lies between the two.
    """
    within = within_tail(fallen, tail)
    # What is missing from a whole falls nowhere: its peak is where it ends.
    reached = np.maximum(reached, 0.0) + np.maximum(within - np.maximum(fallen, 0.0), 0.0)
    ends = np.cumsum(within[::-1])[::-1]
    peaks = np.cumsum(reached[::-1])[::-1]
    return np.asarray(ends - np.minimum(peaks, ends))

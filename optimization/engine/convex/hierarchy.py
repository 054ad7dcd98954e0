"""Hierarchical risk parity: the capital goes down a tree of like assets, by the inverse of risk.

López de Prado, *Building diversified portfolios that outperform out of sample* (2016).
"""

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from optimization.engine.problem import FloatArray


def leaf_order(correlation: FloatArray) -> list[int]:
    """The assets as leaves of Ward's tree on √((1 − ρ)/2), like beside like.

    Args:
        correlation: Shape (n, n), for n ≥ 2.
    """
    distance = np.sqrt(np.clip((1.0 - correlation) / 2.0, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "ward", optimal_ordering=True)
    order: list[int] = leaves_list(tree).tolist()
    return order


def split_by_risk(
    covariance: FloatArray, order: list[int], lower: FloatArray, upper: FloatArray
) -> FloatArray | None:
    """Weights from halving the order again and again, the calmer half taking the larger part.

    Args:
        covariance: Shape (n, n).
        order: The assets, from leaf to leaf.
        lower: Smallest weights, shape (n,); no part is so small that they do not fit.
        upper: Largest weights, shape (n,).

    Returns:
        Shape (n,), or None where two halves without risk would have to share.
    """
    block = covariance[np.ix_(order, order)]
    calm = 1.0 / block.diagonal()
    # Both are summed over stretches of the order.
    products, smallest, largest = calm[:, np.newaxis] * block * calm, lower[order], upper[order]
    parts, stretches = np.ones(len(order)), [(0, len(order))]
    while stretches:
        begin, end = stretches.pop()
        middle = begin + (end - begin) // 2
        if middle == begin:
            continue
        halves = slice(begin, middle), slice(middle, end)
        first, second = (
            float(products[half, half].sum()) / float(calm[half].sum()) ** 2 for half in halves
        )
        if not 0.0 < first + second < np.inf:
            return None
        # Half of what is to be split each way, within what either half may hold.
        whole = float(parts[begin])
        bounds = [(float(smallest[half].sum()), float(largest[half].sum())) for half in halves]
        left = min(max(whole * second / (first + second), bounds[0][0]), bounds[0][1])
        right = min(max(whole - left, bounds[1][0]), bounds[1][1])
        parts[halves[0]], parts[halves[1]] = whole - right, right
        stretches += [(begin, middle), (middle, end)]
    weights = np.empty(len(order))
    weights[order] = parts
    return weights

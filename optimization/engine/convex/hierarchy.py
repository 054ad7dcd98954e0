"""Hierarchical risk parity: the capital goes down a tree of like assets, by the inverse of risk.

López de Prado, *Building diversified portfolios that outperform out of sample* (2016).
"""

import numpy as np
from scipy.cluster.hierarchy import linkage
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
    # Each merge joins two of the leaves and earlier merges, the last one all of them.
    stretches: list[list[int]] = [[leaf] for leaf in range(len(correlation))]
    for left, right in tree[:, :2].astype(np.intp).tolist():
        stretches.append(stretches[left] + stretches[right])
    return stretches[-1]


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
    products = calm[:, np.newaxis] * block * calm
    smallest, largest = (
        np.append(0.0, np.cumsum(bound[order])).tolist() for bound in (lower, upper)
    )
    parts, stretches = np.ones(len(order)), [(0, len(order))]
    while stretches:
        begin, end = stretches.pop()
        middle = begin + (end - begin) // 2
        if middle == begin:
            continue
        first, second = (
            float(products[a:b, a:b].sum()) / float(calm[a:b].sum()) ** 2
            for a, b in ((begin, middle), (middle, end))
        )
        if not 0.0 < first + second < np.inf:
            return None
        # Half of what is to be split each way, within what either half may hold.
        whole = float(parts[begin])
        left = max(whole * second / (first + second), smallest[middle] - smallest[begin])
        left = min(left, largest[middle] - largest[begin])
        right = max(whole - left, smallest[end] - smallest[middle])
        right = min(right, largest[end] - largest[middle])
        parts[begin:middle], parts[middle:end] = whole - right, right
        stretches += [(begin, middle), (middle, end)]
    weights = np.empty(len(order))
    weights[order] = parts
    return weights

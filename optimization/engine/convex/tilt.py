"""The search for a tilt between a lower and an upper bound on it, by tilts that faces propose."""

PAST = 1e-6
"""How far past a known bound, relative to it, a face's own tilt may still be right."""


def next_tilt(found: float, low: float, high: float, further: float) -> float:
    """The tilt to try next: a face's own where the bounds allow it, else one that halves them.

    Args:
        found: The face's own; NaN or infinite where it has none.
        low: Known to be too small.
        high: Known to be too large, or infinite.
        further: What to try while there is no upper bound.
    """
    inside = low * (1.0 - PAST) < found < high * (1.0 + PAST)
    return found if inside else min(further, 0.5 * (low + high))

"""News of this layer; whoever is to its left may listen."""

from django.dispatch import Signal

tick_recorded = Signal()
"""New quotes were written; sent in the feed's process with ``quotes: Mapping[str, Quote]`` and
``ticks: int``, how many quotes have been recorded with them."""

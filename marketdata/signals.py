"""News of this layer; whoever is to its left may listen."""

from django.dispatch import Signal

tick_recorded = Signal()
"""New quotes were written; sent with ``quotes: Mapping[str, Quote]``, in the feed's process."""

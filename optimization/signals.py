"""News of the optimisation layer; ``streaming.receivers`` turns them into frames."""

from django.dispatch import Signal

request_started = Signal()
"""Sent with ``request``: a worker has begun."""

request_progressed = Signal()
"""Sent with ``request`` and ``progress``: an ``engine.Progress``."""

request_point_found = Signal()
"""Sent with ``request`` and ``point``: a ``solving.results.PointRecord``."""

request_finished = Signal()
"""Sent with ``request``, which has just reached its only terminal state."""

risk_breached = Signal()
"""Sent with ``portfolio`` and ``breach``: a watched portfolio went beyond one of its limits."""

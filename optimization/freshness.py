"""Values that a process may hold for a moment instead of asking for them at every request."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Briefly(Generic[Value]):
    """A value that is looked up anew when it is older than a given time.

    Args:
        look_up: Brings the value.
        seconds: How long it may be held.
    """

    def __init__(self, look_up: Callable[[], Value], seconds: float) -> None:
        self._look_up = look_up
        self._seconds = seconds
        self._held: tuple[float, Value] | None = None

    def get(self) -> Value:
        """The value, at most ``seconds`` old."""
        now = time.monotonic()
        if self._held is None or now - self._held[0] > self._seconds:
            self._held = (now, self._look_up())
        return self._held[1]

    def forget(self) -> None:
        """Look the value up at the next request."""
        self._held = None

"""How fast one client may send."""

from dataclasses import dataclass

WINDOW_SECONDS = 10.0
"""A client may save up this many seconds of its rate."""


@dataclass(slots=True)
class TokenBucket:
    """Bounds a rate over ten seconds.

    Attributes:
        rate: Messages per second.
        tokens: Messages that may be sent at once.
        updated: Clock reading of the last message.
        refused: Messages refused since the bucket was last half full.
    """

    rate: float
    tokens: float
    updated: float
    refused: int = 0

    @classmethod
    def full(cls, rate: float, now: float) -> "TokenBucket":
        """A bucket of which nothing was used."""
        return cls(rate, rate * WINDOW_SECONDS, now)

    def take(self, now: float) -> bool:
        """Whether one more message is within the rate."""
        refilled = self.tokens + (now - self.updated) * self.rate
        self.tokens = min(refilled, self.rate * WINDOW_SECONDS)
        self.updated = now
        if self.tokens < 1.0:
            self.refused += 1
            return False
        if self.tokens >= self.rate * WINDOW_SECONDS / 2:
            self.refused = 0
        self.tokens -= 1.0
        return True

    @property
    def ignored(self) -> bool:
        """Whether the client went on for as long as the window after it was told to slow down."""
        return self.refused >= self.rate * WINDOW_SECONDS

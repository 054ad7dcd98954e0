"""What a watcher asks Redis at every tick, in one round trip."""

from dataclasses import dataclass
from typing import Self

from marketdata.redis_client import redis_commands
from optimization.queue import store
from optimization.queue.lanes import Lane
from optimization.watching.events import events_key
from optimization.watching.pausing import paused_key
from optimization.watching.portfolios import version_key


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What decides beside the prices whether a portfolio is optimised now.

    Attributes:
        portfolios_version: Grows whenever a portfolio comes, goes or is edited.
        has_news: Whether events wait to be taken.
        paused: Whether an operator has paused the automatic triggers.
        waiting: Requests in the queue, over all lanes.
    """

    portfolios_version: int
    has_news: bool
    paused: bool
    waiting: int

    @classmethod
    def look(cls) -> Self:
        """How things are now."""
        version, news, paused, *waiting = redis_commands(
            [
                ("GET", version_key()),
                ("EXISTS", events_key()),
                ("EXISTS", paused_key()),
                *(("ZCARD", store.waiting(lane)) for lane in Lane),
            ]
        )
        return cls(int(version or 0), bool(news), bool(paused), sum(waiting))

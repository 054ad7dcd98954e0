"""One recorded trial: clients that work while something breaks, judged when all has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.e2e.client import long_run
from tests.faults.client import Record, ResumingClient, resuming
from tests.faults.history import Event, Row, Run, violations

LIMIT = 100
"""MAX_QUEUE_SIZE of the servers under test, which is the default."""

ReadRows = Callable[[Collection[str]], list[Row]]


@dataclass
class Trial:
    """What is recorded, and who records it.

    Attributes:
        record: Every event of every client.
        clients: They ask.
        listener: Hears everything of its owner.
        read_rows: The rows of some keys and request ids.
    """

    record: Record
    clients: list[ResumingClient]
    listener: ResumingClient
    read_rows: ReadRows
    keys: dict[str, ResumingClient] = field(default_factory=dict)

    async def ask_long(self, seconds: float) -> str:
        """Have a heuristic worker busy for so long; returns the key once it works."""
        client = self.clients[0]
        key = await client.ask(**long_run(seconds)["data"])
        await client.begun(key)
        return key

    async def burst(self, each: int) -> None:
        """Have every client ask for so many at once."""
        for _ in range(each):
            for client in self.clients:
                await client.ask()

    async def served(self) -> Event:
        """A new request that comes back with its result."""
        return await self.clients[-1].optimise()

    async def judged(self, *, overtaken: int = 0) -> Run:
        """Wait for every end, at every client, and hold the record against the promises."""
        await asyncio.gather(*(client.all_ended() for client in self.clients))
        accepted = set(Run(self.record.events, []).admitted)

        def heard_all(events: list[Event]) -> bool:
            return accepted <= {event.request_id for event in events if event.is_end}

        await self.listener.hear(heard_all)
        events = list(self.record.events)
        ended = {event.request_id for event in events if event.is_end and event.request_id}
        run = Run(events, self.read_rows(self.record.keys() | ended))
        broken = violations(run, limit=LIMIT, overtaken=overtaken)
        assert not broken, "\n".join(broken)
        assert accepted
        return run


@asynccontextmanager
async def trial(
    url: Callable[[], str], read_rows: ReadRows, *, clients: int = 3
) -> AsyncIterator[Trial]:
    """So many clients and a listener, connected."""
    record = Record()
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(resuming(record, url, listens=True))
        askers = [await stack.enter_async_context(resuming(record, url)) for _ in range(clients)]
        yield Trial(record, askers, listener, read_rows)

"""One client as the fan-out sees it: who it is, what it wants, what waits for it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optimization.submissions import Owner
from streaming.outbox import Outbox
from streaming.protocol import Topic
from streaming.publish import Address
from streaming.topics import Subscription


class Connection:
    """A connected client.

    Attributes:
        client_id: Its id, chosen by the server.
        owner: Whose frames it may see.
        outbox: What waits for it.
        subscriptions: What it asked to hear.
    """

    def __init__(self, client_id: str, owner: Owner, outbox: Outbox) -> None:
        self.client_id = client_id
        self.owner = owner
        self.outbox = outbox
        self.subscriptions: set[Subscription] = set()
        self._ids = {client_id}
        self._holds = 0
        self._held: list[Callable[[], None]] = []

    def adopt(self, client_id: str) -> None:
        """Stand in for a connection that was lost: its answers come here."""
        self._ids.add(client_id)

    def wants(self, address: Address) -> bool:
        """Whether a frame of its owner is for this client."""
        if address.owner != self.owner.key:
            return False
        if address.client_id in self._ids:
            return True
        whole = Subscription(address.topic)
        narrowed = Subscription(address.topic, address.subject)
        return whole in self.subscriptions or narrowed in self.subscriptions

    def deliver(self, text: str) -> None:
        """Put a frame into the outbox, or hold it back while an answer is being made."""
        self._when_free(lambda: self.outbox.put_text(text))

    def deliver_prices(self, prices: Mapping[str, Any], timestamp: float) -> None:
        """Put those of the prices into the outbox that the client subscribed to."""
        if Subscription(Topic.PRICE_UPDATES) in self.subscriptions:
            self.outbox.put_prices(prices, timestamp)
            return
        wanted = {
            s.subject: prices[s.subject]
            for s in self.subscriptions
            if s.topic is Topic.PRICE_UPDATES and s.subject is not None and s.subject in prices
        }
        if wanted:
            self.outbox.put_prices(wanted, timestamp)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold frames back until the block is left, so that an answer precedes its news."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._holds == 0:
                held, self._held = self._held, []
                for put in held:
                    put()

    def _when_free(self, put: Callable[[], None]) -> None:
        if self._holds:
            self._held.append(put)
        else:
            put()

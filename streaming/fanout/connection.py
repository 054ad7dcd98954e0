"""One client as the fan-out sees it: who it is, what it wants, what waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from optimization.submissions import Owner
from streaming.fanout.delivery import Address, Delivery
from streaming.fanout.outbox import Outbox
from streaming.fanout.prices import PriceBatch
from streaming.protocol import Topic
from streaming.topics import Subscription

REMEMBERED_FRAMES = 10_000
"""Durable frames that a connection remembers to have been told."""


class Connection:
    """A connected client.

    Attributes:
        client_id: Its id, chosen by the server.
        owner: Whose frames it may see.
        outbox: What waits for it.
        subscriptions: What it asked to hear.
        ids: Its own id and those of the connections that it stands in for.
    """

    def __init__(self, client_id: str, owner: Owner, outbox: Outbox) -> None:
        self.client_id = client_id
        self.owner = owner
        self.outbox = outbox
        self.subscriptions: set[Subscription] = set()
        self.ids = {client_id}
        self._prices: frozenset[str] = frozenset()
        self._all_prices = False
        self._told: dict[str, None] = {}
        self._holds = 0
        self._held: list[Delivery] = []

    def wants(self, address: Address) -> bool:
        """Whether a frame of its owner is for this client."""
        if address.owner != self.owner.key:
            return False
        if address.client_id in self.ids:
            return True
        whole = Subscription(address.topic)
        narrowed = Subscription(address.topic, address.subject)
        return whole in self.subscriptions or narrowed in self.subscriptions

    @property
    def listens(self) -> bool:
        """Whether it hears more than what it asked for itself and prices."""
        return any(s.topic is not Topic.PRICE_UPDATES for s in self.subscriptions)

    def deliver(self, delivery: Delivery) -> None:
        """Put a frame into the outbox, or hold it back while an answer is being made."""
        if self._holds:
            self._held.append(delivery)
        else:
            self.put(delivery)

    def put(self, delivery: Delivery) -> bool:
        """Put a frame into the outbox at once; False when this client was told it before."""
        if delivery.before in self._told:
            # The end was read from the history and overtook what led to it.
            return False
        if delivery.once is not None:
            if delivery.once in self._told:
                return False
            self._told[delivery.once] = None
            if len(self._told) > REMEMBERED_FRAMES:
                del self._told[next(iter(self._told))]
        self.outbox.put_text(delivery.text)
        return True

    def subscribe(self, *subscriptions: Subscription) -> None:
        """Hear topics."""
        self.subscriptions.update(subscriptions)
        self._read_prices()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Hear a topic no more."""
        self.subscriptions.discard(subscription)
        self._read_prices()

    def hear_only(self, ids: set[str], subscriptions: set[Subscription]) -> None:
        """Stand in for these connections and hear these topics, and no others."""
        self.ids, self.subscriptions = ids, subscriptions
        self._read_prices()

    def _read_prices(self) -> None:
        prices = [s.subject for s in self.subscriptions if s.topic is Topic.PRICE_UPDATES]
        self._prices = frozenset(subject for subject in prices if subject is not None)
        self._all_prices = None in prices

    @property
    def reads_prices(self) -> bool:
        """Whether it hears any price."""
        return self._all_prices or bool(self._prices)

    def deliver_prices(self, batch: PriceBatch) -> None:
        """Put those of the prices into the outbox that the client subscribed to."""
        wanted = batch if self._all_prices else batch.only(self._prices)
        if wanted is not None:
            self.outbox.put_prices(wanted)

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
                for delivery in held:
                    # What it was to hear when this came, it may have failed to begin to hear.
                    if self.wants(delivery.address):
                        self.put(delivery)

"""Keeps a worker's claim alive while its solver runs, and tells the solver when to stop."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from optimization.queue import admission
from optimization.queue.admission import Claim, LeaseState

logger = logging.getLogger(__name__)

RENEWAL_SECONDS = 0.4
"""How often a lease is renewed, and so how soon a solver hears that it was cancelled."""


class Lease:
    """One claim as its holder sees it.

    Attributes:
        claim: What is held.
        state: The newest answer of the queue.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.state = LeaseState.HELD


class LeaseKeeper:
    """Renews this process's lease from a thread of its own, which lives as long as the process."""

    def __init__(self) -> None:
        self._lease: Lease | None = None
        self._changed = threading.Condition()
        self._asleep = False
        self._pid = 0

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[Lease]:
        """Renew a claim until the block is left."""
        lease = Lease(claim)
        with self._changed:
            self._start()
            self._lease = lease
            # Between two requests in quick succession the thread only dozes: waking it costs
            # more than some requests take.
            if self._asleep:
                self._changed.notify()
        try:
            yield lease
        finally:
            with self._changed:
                self._lease = None

    def _start(self) -> None:
        """Start the thread, again after a fork, which copies the object but not its thread."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            threading.Thread(target=self._run, name="lease-keeper", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._asleep = self._lease is None
                self._changed.wait(None if self._asleep else RENEWAL_SECONDS)
                self._asleep = False
                lease = self._lease
            if lease is not None and lease.state is LeaseState.HELD:
                self._renew(lease)

    def _renew(self, lease: Lease) -> None:
        try:
            lease.state = admission.renew(lease.claim)
        except RedisError as error:
            logger.warning("%s: lease not renewed: %s", lease.claim.request_id, error)


keeper = LeaseKeeper()
"""This process's only keeper."""

"""Keeps a worker's claim alive while its solver runs, and ends the solver when it must stop."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError
from redis.exceptions import RedisError

from optimization.queue import admission
from optimization.queue.admission import Claim, LeaseState

logger = logging.getLogger(__name__)

RENEWAL_SECONDS = 0.4
"""How often a lease is renewed, and so how soon a solver hears that it was cancelled."""

STOP_SECONDS = 0.5
"""How long a solver whose time is over may take to its next step; then its process is killed."""


class Lease:
    """One claim as its holder sees it.

    Attributes:
        claim: What is held.
        state: The newest answer of the queue, or that time is over.
        ends_at: When it is, by the monotonic clock.
        end: Ends the request for a solver that does not stop; False when it has ended meanwhile.
    """

    def __init__(self, claim: Claim, seconds: float, end: Callable[[], bool]) -> None:
        self.claim = claim
        self.state = LeaseState.HELD
        self.ends_at = time.monotonic() + seconds
        self.end = end


class LeaseKeeper:
    """Renews this process's lease from a thread of its own, which lives as long as the process.

    The thread keeps the time limit, too. Native code that neither reports nor lets other threads
    run would hold it up as well; that is what the time limit of the Celery message is for.
    """

    def __init__(self) -> None:
        self._lease: Lease | None = None
        self._changed = threading.Condition()
        self._asleep = False
        self._pid = 0

    @contextmanager
    def hold(self, claim: Claim, seconds: float, end: Callable[[], bool]) -> Iterator[Lease]:
        """Renew a claim until the block is left, or this process dies of its time limit.

        Args:
            claim: What is held.
            seconds: How long the block may take.
            end: Ends the request for a solver that does not stop; False when it has ended.
        """
        lease = Lease(claim, seconds, end)
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
                self._changed.wait(None if self._asleep else self._pause())
                self._asleep = False
                lease = self._lease
            if lease is not None:
                self._look_after(lease)

    def _look_after(self, lease: Lease) -> None:
        is_over = time.monotonic() >= lease.ends_at
        if is_over and lease.state is LeaseState.OVERDUE:
            self._kill(lease)
        elif lease.state is LeaseState.HELD:
            if is_over:
                lease.state = LeaseState.OVERDUE
            else:
                self._renew(lease)

    def _pause(self) -> float:
        """Seconds until there is something to do for the lease."""
        assert self._lease is not None  # noqa: S101 - asked only while there is one
        left = self._lease.ends_at - time.monotonic()
        return min(RENEWAL_SECONDS, left if left > 0 else STOP_SECONDS)

    def _kill(self, lease: Lease) -> None:
        """End a request and the process whose solver does not stop."""
        with self._changed:
            # With the lock, so that the solver's thread cannot go on to the next request.
            if self._lease is not lease:
                return
            try:
                ended = lease.end()
            except (RedisError, DatabaseError):
                # Whoever takes it over finds its time over.
                logger.exception("%s: its end is left to another", lease.claim.request_id)
                ended = True
            if ended:
                logger.error("%s does not stop; its process ends", lease.claim.request_id)
                os.kill(os.getpid(), signal.SIGKILL)

    def _renew(self, lease: Lease) -> None:
        try:
            lease.state = admission.renew(lease.claim)
        except RedisError as error:
            logger.warning("%s: lease not renewed: %s", lease.claim.request_id, error)


keeper = LeaseKeeper()
"""This process's only keeper."""

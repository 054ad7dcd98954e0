"""What a Celery worker's parent does besides: says that it lives, sweeps."""

import logging
from typing import Any

from celery import bootsteps
from redis.exceptions import RedisError

from optimization.queue import duty, workers
from optimization.queue.lanes import served_lanes
from optimization.queue.reconciliation import Sweeper

logger = logging.getLogger(__name__)


class LaneKeeper(bootsteps.StartStopStep):
    """Announces the worker and sweeps its lanes once a second, from the parent's own loop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Begin when the worker is connected to its broker."""
        self.lanes = served_lanes(consumer.app.amqp.queues.consume_from)
        self.processes = consumer.pool.num_processes
        self.worker = consumer.hostname
        self.sweeper = Sweeper(self.lanes, self.processes)
        self.pool = consumer.pool
        self.alive = self._pids()
        self._beat()
        self.timer = consumer.timer.call_repeatedly(workers.BEAT_SECONDS, self._beat)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002
        """Take the worker off the lists."""
        self.timer.cancel()
        try:
            duty.dismiss(self.lanes)
            workers.retire(self.worker, self.lanes, self.processes)
        except RedisError as error:
            logger.warning("not retired: %s", error)

    def _pids(self) -> set[int]:
        """The processes of the pool now."""
        return set(self.pool.info["processes"])

    def _bury(self) -> None:
        """Give back what processes of the pool held that have died since the last look."""
        # Else Celery looks every five seconds only, and until then the message that had put the
        # dead process on duty takes the place of the one that puts another there.
        self.pool.maintain_pool()
        alive = self._pids()
        for pid in self.alive - alive:
            lane = duty.bereave(self.lanes, pid)
            if lane is not None:
                logger.warning("what process %d held in the %s lane is given back", pid, lane)
        self.alive = alive

    def _beat(self) -> None:
        try:
            self._bury()
            workers.announce(self.worker, self.lanes, self.processes)
            self.sweeper.sweep()
        except RedisError as error:
            logger.warning("Redis cannot be reached: %s", error)

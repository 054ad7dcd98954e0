"""What a Celery worker's parent does besides: preloads solvers, says that it lives, sweeps."""

import logging
from importlib import import_module
from typing import Any

import numpy as np
from celery import bootsteps
from celery.signals import celeryd_after_setup
from redis.exceptions import RedisError

from optimization.engine import Problem, available_methods, solve
from optimization.queue import duty, workers
from optimization.queue.lanes import LANES, Lane, served_lanes
from optimization.queue.reconciliation import Sweeper

logger = logging.getLogger(__name__)


def preload_solvers(lanes: list[Lane]) -> None:
    """Import and try out the solvers of these lanes before the pool forks.

    Every child shares their memory, and no client waits for what a library loads at first use.
    """
    returns = np.random.default_rng(0).normal(0.001, 0.01, (60, 3))
    problem = Problem(returns=returns, symbols=("A", "B", "C"))
    for method in available_methods():
        if LANES[method] in lanes:
            solve(problem, method=method, rng=np.random.default_rng(0))


@celeryd_after_setup.connect
def _preload(instance: Any, **_kwargs: Any) -> None:
    """Runs after the queues are chosen and before the pool forks."""
    import_module("optimization.solving.running")
    preload_solvers(served_lanes(instance.app.amqp.queues.consume_from))


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

"""What a Celery worker's parent does besides: preloads solvers, says that it lives, sweeps."""

import logging
from importlib import import_module
from typing import Any

from celery import bootsteps
from celery.signals import celeryd_after_setup
from redis.exceptions import RedisError

from optimization import workers
from optimization.engine.problem import Method
from optimization.engine.registry import available_methods, solver_for
from optimization.lanes import LANES, Lane
from optimization.reconciliation import Sweeper

logger = logging.getLogger(__name__)


def served_lanes(queue_names: Any) -> list[Lane]:
    """The lanes among a worker's queues."""
    return [lane for lane in Lane if lane.value in queue_names]


def preload_solvers(lanes: list[Lane]) -> None:
    """Import the solvers of these lanes, so that every forked child shares their memory."""
    for method in available_methods():
        if LANES[Method(method)] in lanes:
            solver_for(method)


@celeryd_after_setup.connect
def _preload(instance: Any, **_kwargs: Any) -> None:
    """Runs after the queues are chosen and before the pool forks."""
    import_module("optimization.running")
    preload_solvers(served_lanes(instance.app.amqp.queues.consume_from))


class LaneKeeper(bootsteps.StartStopStep):
    """Announces the worker and sweeps its lanes once a second, from the parent's own loop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Begin when the worker is connected to its broker."""
        self.lanes = served_lanes(consumer.app.amqp.queues.consume_from)
        self.processes = consumer.pool.num_processes
        self.worker = consumer.hostname
        self.sweeper = Sweeper(self.lanes)
        self._beat()
        self.timer = consumer.timer.call_repeatedly(workers.BEAT_SECONDS, self._beat)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002
        """Take the worker off the lists."""
        self.timer.cancel()
        try:
            workers.retire(self.worker, self.lanes, self.processes)
        except RedisError as error:
            logger.warning("not retired: %s", error)

    def _beat(self) -> None:
        try:
            workers.announce(self.worker, self.lanes, self.processes)
            self.sweeper.sweep()
        except RedisError as error:
            logger.warning("Redis cannot be reached: %s", error)

"""The Celery application; tasks are found in each app's ``tasks`` module."""

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quantumedge.settings")
# SIGTERM gives a running solve a moment and then hands it back, instead of waiting for its end.
# Celery reads this when it is imported.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

from celery import Celery
from celery.signals import setup_logging, task_prerun, worker_init, worker_ready
from django.db import close_old_connections

from quantumedge.readiness import tell_ready

app = Celery("quantumedge")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _add_worker_steps(**_kwargs: Any) -> None:
    """Only a worker needs them, and importing them needs Django's models."""
    from optimization.queue.worker_steps import LaneKeeper  # noqa: PLC0415

    import_module("optimization.queue.preloading")  # it connects to what the worker does next
    app.steps["consumer"].add(LaneKeeper)


@setup_logging.connect
def _keep_logging(**_kwargs: Any) -> None:
    """Django has set up logging; with a receiver here Celery leaves that alone."""


@worker_ready.connect
def _tell_ready(**_kwargs: Any) -> None:
    """The pool is forked and the broker is connected."""
    tell_ready()


@task_prerun.connect
def _forget_broken_connections(**_kwargs: Any) -> None:
    """Celery keeps the database connection for many tasks, a broken one, too."""
    close_old_connections()

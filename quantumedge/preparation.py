"""What has to be true before the processes start: one server per folder, a database, prices."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import OperationalError
from kombu import Connection
from kombu.exceptions import OperationalError as OperationalBrokerError
from kombu.utils.url import maybe_sanitize_url
from redis.exceptions import RedisError

from marketdata.models import Asset
from marketdata.redis_client import redis_client
from optimization.watching.sample import watch_sample_portfolios
from quantumedge.checks import TAG
from quantumedge.supervisor import StartError

BROKER_SECONDS = 5
"""Longest wait for the broker's first answer."""


def lock_folder(folder: Path) -> IO[str]:
    """Take the folder for this process; the lock ends with the returned file.

    Raises:
        StartError: Another server runs on it.
    """
    file = (folder / "serve.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise StartError(
            f"another server (process {owner}) runs on {folder}: stop it, or set DATA_DIR to"
            " another folder"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def check_settings() -> None:
    """Run the checks of the settings.

    Raises:
        StartError: A setting is wrong; the message says which, and how to mend it.
    """
    errors = [found for found in run_checks(tags=[TAG]) if found.level >= ERROR]
    if errors:
        raise StartError("\n".join(f"{found.msg} {found.hint or ''}".strip() for found in errors))


def wait_for_redis(patience: float) -> None:
    """Wait until Redis answers; one that has just been started may still read its file.

    Args:
        patience: Seconds after which it is given up; 0 asks once.

    Raises:
        StartError: It does not answer.
    """
    end = time.monotonic() + patience
    while True:
        try:
            redis_client().ping()
        except RedisError as error:
            if time.monotonic() >= end:
                raise StartError(
                    f"Redis at {maybe_sanitize_url(settings.REDIS_URL)} does not answer ({error}):"
                    " start it, mend REDIS_URL, or unset REDIS_URL for a private Valkey"
                ) from error
            time.sleep(0.02)
        else:
            return


def check_broker() -> None:
    """Connect to the broker of the Celery messages once.

    Raises:
        StartError: It does not answer.
    """
    try:
        with Connection(settings.BROKER_URL, connect_timeout=BROKER_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
    except OperationalBrokerError as error:
        raise StartError(
            f"the broker at {maybe_sanitize_url(settings.BROKER_URL)} does not answer ({error}):"
            " start it, mend BROKER_URL, or unset BROKER_URL to use Redis"
        ) from error


def prepare_database(report: Callable[[str], None]) -> None:
    """Migrate and load the sample market, each only where something is missing.

    Raises:
        StartError: The database cannot be reached.
    """
    try:
        connection = connections[DEFAULT_DB_ALIAS]
        executor = MigrationExecutor(connection)
        if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
            report(f"Preparing the database ({len(plan)} migrations)")
            call_command("migrate", verbosity=0, interactive=False)
        if not Asset.objects.filter(bar_count__gt=0).exists():
            call_command("load_sample_market")
        if settings.LOCAL_MODE:
            watch_sample_portfolios()
    except OperationalError as error:
        raise StartError(
            f"the database cannot be used ({str(error).strip()}): check DATABASE_URL"
        ) from error
    finally:
        connections.close_all()

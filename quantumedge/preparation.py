"""What has to be true before the processes start: one server per folder, a database, prices."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import OperationalError

from marketdata.models import Asset
from optimization.watching.sample import watch_sample_portfolio
from quantumedge.checks import TAG
from quantumedge.supervisor import StartError


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
            watch_sample_portfolio()
    except OperationalError as error:
        raise StartError(
            f"the database cannot be used ({str(error).strip()}): check DATABASE_URL"
        ) from error
    finally:
        connections.close_all()

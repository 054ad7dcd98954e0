"""Migrations may run while processes of the version before still work: they only add.

What each operation would do to such a process decides whether it is allowed after the first
migration of an application.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField, AddIndex, CreateModel, RunPython
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

OURS = ("marketdata", "optimization", "streaming")
BEFORE_THE_FIRST_RELEASE = {"optimization/0002_request_kind"}
"""Nobody runs a version from before these."""


def later_operations() -> Iterator[tuple[str, Operation]]:
    """Each operation of ours after the first migration, with the name of its file."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app in OURS and not name.startswith("0001"):
            for operation in migration.operations:
                yield f"{app}/{name}", operation


def danger(operation: Operation) -> str | None:
    """What would break in a process of the version before, or None."""
    if isinstance(operation, AddField):
        field = operation.field
        if not field.null and field.db_default is NOT_PROVIDED and not field.many_to_many:
            return "the version before inserts rows without this column: give it db_default or null"
        return None
    if isinstance(operation, RunPython):
        return None if operation.reversible else "there is no way back: give it a reverse"
    if isinstance(operation, CreateModel):
        return None
    if isinstance(operation, AddIndex):
        return "an index locks PostgreSQL's table: use AddIndexConcurrently"
    return f"{type(operation).__name__} takes away or changes what the version before still uses"


def test_no_migration_breaks_a_process_of_the_version_before() -> None:
    broken = {
        f"{name}: {operation.describe()}": reason
        for name, operation in later_operations()
        if (reason := danger(operation)) and name not in BEFORE_THE_FIRST_RELEASE
    }
    assert broken == {}


@pytest.mark.django_db
def test_the_models_have_no_change_without_a_migration() -> None:
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.state import ProjectState

    loader = MigrationLoader(connection)
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    assert not {app: c for app, c in detector.changes(graph=loader.graph).items() if app in OURS}


@pytest.mark.parametrize("app", OURS)
def test_migrations_import_no_code_that_changes_later(app: str) -> None:
    for path in (Path(settings.BASE_DIR) / app / "migrations").glob("0*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] == "django" or "models" in str(node.module)

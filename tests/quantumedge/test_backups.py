"""A database is copied while it is used, lost, and put back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from quantumedge.backups import BackupError, back_up, restore
from tests.postgresql import PostgreSQL
from tests.services import free_ports

FILL = """
import datetime as dt
from django.contrib.auth.models import User
from marketdata.models import Source
from marketdata.services import History, histories_store
User.objects.create_user("ann", password="once upon a time")
days = [dt.date(2024, 1, 1) + dt.timedelta(days=d) for d in range(30)]
closes = [1.0 + d for d in range(30)]
histories_store(
    [History(symbol=s, source=Source.REAL, dates=days, closes=closes) for s in "AB"],
    reason="before",
)
"""
LOOK = """
from django.contrib.auth.models import User
from marketdata.models import Asset
from marketdata.selectors import current_data_version, load_panel
panel = load_panel(current_data_version())
symbols = sorted(Asset.objects.values_list("symbol", flat=True))
known = User.objects.get().check_password("once upon a time")
print(known, symbols, current_data_version(), panel.table.closes[-1].tolist())
"""
LOSE = """
from django.contrib.auth.models import User
from marketdata.models import Asset
User.objects.all().delete(); Asset.objects.all().delete()
"""


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a server on each kind of database."""
    variables = {**os.environ, "DATA_DIR": str(tmp_path / "data"), "DATABASE_TIMEOUT": "0"}
    if request.param == "SQLite":
        variables["DATABASE_URL"] = f"sqlite:///{tmp_path / 'database.sqlite3'}"
        yield variables
        return
    database = PostgreSQL(free_ports(1)[0])
    variables["DATABASE_URL"] = database.url()
    yield variables
    database.stop()


def manage(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_lost_after_a_backup_is_there_again_and_the_panels_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "shell", "-c", FILL)
    before = manage(environment, "shell", "-c", LOOK)
    assert "True ['A', 'B']" in before
    manage(environment, "backup", str(tmp_path / "copy"))
    manage(environment, "shell", "-c", LOSE)
    # Another disk: nothing but the copy is left.
    moved = {**environment, "DATA_DIR": str(tmp_path / "elsewhere")}
    manage(moved, "restore", str(tmp_path / "copy"))
    assert manage(moved, "shell", "-c", LOOK) == before


def test_a_backup_replaces_no_file(tmp_path: Path) -> None:
    (tmp_path / "copy").touch()
    with pytest.raises(BackupError, match="copy exists: name a new file"):
        back_up(settings.DATABASES["default"], tmp_path / "copy")


def test_what_is_no_copy_leaves_the_database_alone(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("this is no database, and long enough to be looked at")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "database")}
    with pytest.raises(BackupError, match="could not be copied"):
        restore(database, tmp_path / "note")
    with pytest.raises(BackupError, match="is no file"):
        restore(database, tmp_path / "missing")

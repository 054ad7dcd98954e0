"""Copies of the database, whole and of one moment, while everything runs."""

import os
import sqlite3

# Programs of PostgreSQL's, with argument lists and without a shell.
import subprocess  # nosec B404
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

SQLITE = "django.db.backends.sqlite3"


class BackupError(Exception):
    """The database could not be copied; the message says why, and what to do."""


def back_up(database: Mapping[str, Any], file: Path) -> None:
    """Write the database into a new file: an SQLite database, or pg_dump's custom format.

    Raises:
        BackupError: The file exists, or the copy failed.
    """
    if file.exists():
        raise BackupError(f"{file} exists: name a new file")
    if database["ENGINE"] == SQLITE:
        _copy_sqlite(Path(database["NAME"]), file)
    else:
        _run(database, "pg_dump", "--format", "custom", "--no-owner", "--file", str(file))


def restore(database: Mapping[str, Any], file: Path) -> None:
    """Put a copy in the place of the database; nobody else may use it meanwhile.

    Raises:
        BackupError: The copy cannot be read, or the database cannot be written.
    """
    if not file.is_file():
        raise BackupError(f"{file} is no file: name one that backup wrote")
    if database["ENGINE"] == SQLITE:
        _copy_sqlite(file, Path(database["NAME"]))
    else:
        _run(
            database,
            *("pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction"),
            *("--dbname", str(database["NAME"]), str(file)),
        )


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
    except sqlite3.Error as error:
        raise BackupError(f"{source} could not be copied to {target}: {error}") from error


def _run(database: Mapping[str, Any], program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes through the environment, unseen."""
    options = {
        "PGHOST": database["HOST"],
        "PGPORT": str(database["PORT"]),
        "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"],
        "PGDATABASE": str(database["NAME"]),
    }
    try:
        subprocess.run(  # nosec B603
            [program, *arguments],
            env={**os.environ, **{name: value for name, value in options.items() if value}},
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise BackupError(
            f"{program} is missing: install PostgreSQL's client (Debian: postgresql-client)"
        ) from error
    except subprocess.CalledProcessError as error:
        raise BackupError(f"{program} failed: {error.stderr.strip()}") from error

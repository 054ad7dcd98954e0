"""Reads the rows of recorded requests straight from the database, past the server."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.history import Row

_QUERY = (
    "SELECT request_id, idempotency_key, owner, lane, status, fence, attempt, started_at,"
    " finished_at FROM optimization_optimizationrequest"
)


def sqlite_rows(file: Path, names: Collection[str]) -> list[Row]:
    """The rows with these keys or request ids in a SQLite file."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return _rows(connection.execute(_QUERY), names)
    finally:
        connection.close()


def postgresql_rows(url: str, names: Collection[str]) -> list[Row]:
    """The rows with these keys or request ids in a PostgreSQL database."""
    with psycopg.connect(url) as connection:
        return _rows(connection.execute(_QUERY), names)


def _rows(found: Iterable[Sequence[Any]], names: Collection[str]) -> list[Row]:
    rows = []
    for request_id, key, owner, lane, status, fence, attempt, started, finished in found:
        if key in names or request_id in names:
            left = _seconds(started if started is not None else finished)
            row = Row(
                request_id=request_id,
                key=key,
                owner=owner,
                lane=lane,
                status=status,
                fence=fence,
                attempt=attempt,
                left_queue_at=left,
            )
            rows.append(row)
    return rows


def _seconds(moment: datetime | str | None) -> float | None:
    """Epoch seconds of a column, which SQLite keeps as text in UTC."""
    if moment is None:
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return moment.timestamp()

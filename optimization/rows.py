"""The statements of a request's life, worded once and not at every request.

Django words a statement and looks up its converters anew at each call, which takes several times as
long as the database takes for the statement itself. The words never change here, so they are kept;
what a value is in the database, and back in Python, is still the say of the model's fields.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import BooleanField, CharField, FloatField, IntegerField, JSONField
from django.utils import timezone
from pydantic_core import to_json

from optimization.models import ACTIVE, OptimizationRequest, Status
from optimization.queue.admission import Claim

_META = OptimizationRequest._meta
_FIELDS: tuple[Any, ...] = tuple(_META.concrete_fields)
_STORED: tuple[Any, ...] = tuple(field for field in _FIELDS if not field.primary_key)
_NAMES = [field.attname for field in _FIELDS]
_COLUMN_OF = {field.name: field.column for field in _FIELDS}
_COLUMNS = ", ".join(f'"{field.column}"' for field in _FIELDS)
_ACTIVE = "(" + ", ".join(f"'{status.value}'" for status in ACTIVE) + ")"

_PLAIN = {CharField: str, BooleanField: bool, IntegerField: int, FloatField: float}
_PLAIN_TYPE_OF: Mapping[Any, type] = {
    field: plain for field in _STORED for kind, plain in _PLAIN.items() if isinstance(field, kind)
}
"""What a field passes on to any database as it is: a value of exactly this type."""

_INSERT = f"""
INSERT INTO "{_META.db_table}" ({", ".join(f'"{field.column}"' for field in _STORED)})
VALUES ({", ".join("%s" for _ in _STORED)})
RETURNING id
"""  # nosec B608  # noqa: S608 - all of it is ours

_BEGIN = f"""
UPDATE "{_META.db_table}"
SET status = '{Status.RUNNING.value}', attempt = attempt + 1, fence = %s,
    started_at = COALESCE(started_at, %s)
WHERE request_id = %s AND status IN {_ACTIVE} AND fence < %s
RETURNING {_COLUMNS}
"""  # nosec B608  # noqa: S608


def insert(request: OptimizationRequest) -> None:
    """Record a request, which gets its key.

    Raises:
        IntegrityError: Its owner has used the idempotency key before.
    """
    database = _database()
    values = _stored(database, _STORED, (getattr(request, field.attname) for field in _STORED))
    with transaction.mark_for_rollback_on_error(database.alias), database.cursor() as cursor:
        cursor.execute(_INSERT, values)
        (request.pk,) = cursor.fetchone()
    request._state.adding, request._state.db = False, database.alias


def begin(claim: Claim) -> OptimizationRequest | None:
    """Mark a request as running under a claim and bring it; None when it has ended meanwhile."""
    database = _database()
    started_at = database.ops.adapt_datetimefield_value(timezone.now())
    with database.cursor() as cursor:
        cursor.execute(_BEGIN, [claim.fence, started_at, claim.request_id, claim.fence])
        row = cursor.fetchone()
    if row is None:
        return None
    return OptimizationRequest.from_db(database.alias, _NAMES, _loaded(database, row))


def end(key: int, changes: Mapping[str, Any], fence: int | None) -> bool:
    """Record how a request ended, unless it has ended before.

    Args:
        key: Its primary key.
        changes: By field.
        fence: The only one under which it may end; None lets it end under any.
    """
    database = _database()
    fields = [_META.get_field(name) for name in changes]
    values = [*_stored(database, fields, changes.values()), key]
    if fence is not None:
        values.append(fence)
    with database.cursor() as cursor:
        cursor.execute(_ending(tuple(changes), fence is not None), values)
        return bool(cursor.rowcount)


@cache
def _ending(names: tuple[str, ...], is_fenced: bool) -> str:
    changed = ", ".join(f'"{_COLUMN_OF[name]}" = %s' for name in names)
    statement = f'UPDATE "{_META.db_table}" SET {changed} WHERE id = %s AND status IN {_ACTIVE}'  # nosec B608  # noqa: S608
    return f"{statement} AND fence = %s" if is_fenced else statement


def _database() -> Any:
    """This thread's connection itself: Django's own name for it looks it up at every attribute."""
    return connections[DEFAULT_DB_ALIAS]


class _Encoder(json.JSONEncoder):
    """Writes what ``json`` does, in a fraction of the time."""

    def encode(self, o: Any) -> str:
        """The JSON of a document."""
        return to_json(o, inf_nan_mode="constants").decode()


def _stored(database: Any, fields: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """Values as the database takes them."""
    return [
        value
        if value is None or type(value) is _PLAIN_TYPE_OF.get(field)
        else database.ops.adapt_json_value(value, _Encoder)
        if isinstance(field, JSONField)
        else field.get_db_prep_save(value, database)
        for field, value in zip(fields, values, strict=True)
    ]


def _loaded(database: Any, row: Iterable[Any]) -> list[Any]:
    """A row of all fields as the model holds them."""
    values = list(row)
    for index, column, convert in _converters(database.vendor):
        values[index] = convert(values[index], column, database)
    return values


@cache
def _converters(vendor: str) -> list[tuple[int, Any, Callable[[Any, Any, Any], Any]]]:  # noqa: ARG001 - the key
    """Place, column and function of what a database of this kind gives otherwise than the model.

    Those of the first connection serve all of its kind: they know nothing but settings.
    """
    database = _database()
    return [
        (index, field.cached_col, convert)
        for index, field in enumerate(_FIELDS)
        for convert in (
            *database.ops.get_db_converters(field.cached_col),
            *field.get_db_converters(database),
        )
    ]

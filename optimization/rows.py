"""The statements of a request's life and its portfolio's, worded once and not at every request.

Django words a statement and looks up its converters anew at each call, which takes several times as
long as the database takes for the statement itself. The words never change here, so they are kept;
what a value is in the database, and back in Python, is still the say of the model's fields.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import BooleanField, CharField, FloatField, IntegerField, JSONField, Model
from django.utils import timezone
from pydantic_core import to_json

from optimization.models import ACTIVE, OptimizationRequest, Portfolio, Status
from optimization.queue.admission import Claim

Loaded = TypeVar("Loaded", bound=Model)

_META = OptimizationRequest._meta
_STORED: tuple[Any, ...] = tuple(f for f in _META.concrete_fields if not f.primary_key)
_ACTIVE = "(" + ", ".join(f"'{status.value}'" for status in ACTIVE) + ")"

_PLAIN = {CharField: str, BooleanField: bool, IntegerField: int, FloatField: float}
_PLAIN_TYPE_OF: Mapping[Any, type] = {
    field: plain for field in _STORED for kind, plain in _PLAIN.items() if isinstance(field, kind)
}
"""What a field passes on to any database as it is: a value of exactly this type."""


def _columns(model: type[Model]) -> str:
    return ", ".join(f'"{field.column}"' for field in model._meta.concrete_fields)


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
RETURNING {_columns(OptimizationRequest)}
"""  # nosec B608  # noqa: S608

_FIND_PORTFOLIO = f"""
SELECT {_columns(Portfolio)} FROM "{Portfolio._meta.db_table}" WHERE portfolio_id = %s
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
    return None if row is None else _loaded(database, OptimizationRequest, row)


def end(key: int, changes: Mapping[str, Any], fence: int | None) -> bool:
    """Record how a request ended, unless it has ended before.

    Args:
        key: Its primary key.
        changes: By field.
        fence: The only one under which it may end; None lets it end under any.
    """
    database = _database()
    values = [*_stored(database, _fields(OptimizationRequest, changes), changes.values()), key]
    if fence is not None:
        values.append(fence)
    with database.cursor() as cursor:
        cursor.execute(_ending(tuple(changes), fence is not None), values)
        return bool(cursor.rowcount)


def find_portfolio(portfolio_id: str) -> Portfolio | None:
    """The portfolio of this name, whether or not it is still watched."""
    database = _database()
    with database.cursor() as cursor:
        cursor.execute(_FIND_PORTFOLIO, [portfolio_id])
        row = cursor.fetchone()
    return None if row is None else _loaded(database, Portfolio, row)


def change_portfolio(key: int, changes: Mapping[str, Any]) -> None:
    """Change a portfolio.

    Args:
        key: Its primary key.
        changes: By field.
    """
    database = _database()
    values = [*_stored(database, _fields(Portfolio, changes), changes.values()), key]
    with database.cursor() as cursor:
        cursor.execute(_update(Portfolio, tuple(changes)), values)


@cache
def _update(model: type[Model], names: tuple[str, ...]) -> str:
    changed = ", ".join(f'"{field.column}" = %s' for field in _fields(model, names))
    return f'UPDATE "{model._meta.db_table}" SET {changed} WHERE id = %s'  # nosec B608  # noqa: S608


@cache
def _ending(names: tuple[str, ...], is_fenced: bool) -> str:
    statement = f"{_update(OptimizationRequest, names)} AND status IN {_ACTIVE}"
    return f"{statement} AND fence = %s" if is_fenced else statement


def _fields(model: type[Model], names: Iterable[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


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


def _loaded(database: Any, model: type[Loaded], row: Iterable[Any]) -> Loaded:
    """A row of all fields as Django brings it."""
    values = list(row)
    for index, column, convert in _converters(model, database.vendor):
        values[index] = convert(values[index], column, database)
    return model.from_db(database.alias, _names(model), values)


@cache
def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _converters(
    model: type[Model],
    vendor: str,  # noqa: ARG001 - the key
) -> list[tuple[int, Any, Callable[[Any, Any, Any], Any]]]:
    """Place, column and function of what a database of this kind gives otherwise than the model.

    Those of the first connection serve all of its kind: they know nothing but settings.
    """
    database = _database()
    return [
        (index, field.cached_col, convert)
        for index, field in enumerate(model._meta.concrete_fields)
        for convert in (
            *database.ops.get_db_converters(field.cached_col),
            *field.get_db_converters(database),
        )
    ]

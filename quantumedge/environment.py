"""What the settings read: the environment, with errors that name the variable."""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

DATABASE_ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")
"""The databases that the tests run on."""

SOCKET_PATH_LIMIT = 100
"""Bytes of a unix socket's path that every platform allows (Linux 107, macOS 103)."""


class Env(environ.Env):  # type: ignore[misc]  # the library has no types
    """django-environ, except that a value of the wrong kind says which variable it is."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """Return the variable's value, cast.

        Raises:
            ImproperlyConfigured: The value is not of the kind that the setting needs.
        """
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{var} is {os.environ.get(var)!r}, which cannot be read ({error}); "
                "mend it in the environment or in .env."
            ) from error


SERVERS = frozenset({"web", "worker", "run_feed"})
"""The commands of ``manage.py`` that serve clients, and so must not hang with a dead line."""


def serves(arguments: Sequence[str]) -> bool:
    """Whether a process with these arguments serves; an import or a migration takes its time."""
    return len(arguments) > 1 and arguments[1] in SERVERS


def check_database(database: Mapping[str, Any], variable: str) -> None:
    """Refuse a database URL that no engine of Django's serves.

    Raises:
        ImproperlyConfigured: Naming the variable.
    """
    engine = str(database.get("ENGINE", ""))
    if engine not in DATABASE_ENGINES:
        raise ImproperlyConfigured(
            f"{variable} begins with {os.environ.get(variable, '').partition(':')[0]!r}; use"
            " postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:////PATH."
        )


def socket_path(folder: Path, name: str) -> Path:
    """The path of a private unix socket of ``folder``, short enough for the system.

    A deep folder gets a socket below the temporary folder instead, under a name that depends on
    the folder alone, so that every process finds the same one.
    """
    path = folder / name
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    # The folder is made with mode 0700, under the user's own name.
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # nosec B108  # noqa: S108
        path = parent / f"quantumedge-{os.getuid()}-{digest}" / name
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            break
    return path

"""Django's PostgreSQL backend, except that no wait for the server is endless.

libpq waits for an answer for as long as TCP keeps the connection, which is for ever when the other
side vanished without a word; a web or worker process would hang with it. The server gives up as
soon as the client does, or the locks of a client that vanished would stay.
"""

from typing import Any, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

Result = TypeVar("Result")

_TICK = 0.1
"""Seconds between two looks at the clock; psycopg's own default."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection whose every wait for the server ends.

    Attributes:
        patience: Seconds to wait for one answer.
    """

    patience: float | None = None

    def wait(
        self, gen: PQGen[Result], interval: float = _TICK, timeout: float | None = None
    ) -> Result:
        """Wait for an answer.

        Raises:
            psycopg.OperationalError: None came in time, or the line is cut; it is closed.
        """
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:
                # Not the server's word: whatever it says later would answer the next question.
                self.close()
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with the option ``patience``: seconds to wait for one answer, 0 without end."""

    def get_connection_params(self) -> dict[str, Any]:
        """What to connect with."""
        params: dict[str, Any] = super().get_connection_params()
        self.patience = float(params.pop("patience"))
        if self.patience:
            milliseconds = int(self.patience * 1000)
            limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            params["options"] = " ".join(f"-c {name}={milliseconds}" for name in limits)
            params["connect_timeout"] = max(1, round(self.patience))
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, and wait for this and every later answer no longer than allowed."""
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection = PatientConnection.connect(**conn_params)
        connection.patience = self.patience or None
        return connection

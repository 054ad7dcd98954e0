"""What a caller submits, whichever door it came through: wire, REST, command or trigger."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from pydantic import TypeAdapter

from optimization.engine.problem import Constraints, Method, Objective
from optimization.models import Kind, Trigger

LOCAL_OWNER = "local"
"""Owner of everything that is asked for anonymously in local mode."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a request belongs to, and who alone may see it.

    Attributes:
        key: ``local`` or ``user:ID``.
        user_id: The signed-in user, or None.
    """

    key: str
    user_id: int | None = None

    @classmethod
    def of(cls, user: AbstractBaseUser | AnonymousUser | None) -> Self:
        """The owner that stands for a user; anonymous ones share the local owner."""
        if user is None or not user.is_authenticated:
            return cls(LOCAL_OWNER)
        return cls(f"user:{user.pk}", int(user.pk))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A well-formed request, not yet checked against the market.

    Attributes:
        owner: Who asks.
        client_id: Which connection asks; results are sent to it.
        symbols: What to hold.
        objective: What to optimise.
        constraints: What to satisfy.
        method: How to solve.
        trigger: Why now.
        parameters: ``lookback``, ``include_live``, ``risk_free_rate``, ``seed`` and the method's.
        metadata: The caller's own notes, returned as they came.
        kind: One portfolio, or a frontier of ``parameters["points"]`` of them.
        portfolio_id: The watched portfolio that it is for, if any.
        idempotency_key: The caller's name for the request; the same name never runs twice.
    """

    owner: Owner
    client_id: str
    symbols: tuple[str, ...]
    objective: Objective = Objective.MAXIMIZE_SHARPE
    constraints: Constraints = field(default_factory=Constraints)
    method: Method = Method.MEAN_VARIANCE
    trigger: Trigger = Trigger.MANUAL
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.OPTIMIZATION
    portfolio_id: str = ""
    idempotency_key: str | None = None


def new_request_id(client_id: str) -> str:
    """A request id in the spec's shape, ``opt_CLIENT_MILLISECONDS``, with a random tail."""
    return f"opt_{client_id}_{time.time_ns() // 1_000_000}_{secrets.token_hex(4)}"


_CONSTRAINTS = TypeAdapter(Constraints)


def constraints_document(constraints: Constraints) -> dict[str, Any]:
    """Constraints as JSON, without those that were left out."""
    document = _CONSTRAINTS.dump_python(constraints, mode="json", exclude_none=True)
    return {name: value for name, value in document.items() if value not in ({}, [])}


def constraints_from_document(document: Mapping[str, Any]) -> Constraints:
    """Constraints as they were recorded."""
    return _CONSTRAINTS.validate_python(document)

"""What the optimisation layer remembers: requests with their whole life."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from optimization.engine.problem import Method, Objective
from optimization.lanes import Lane


class Trigger(models.TextChoices):
    """What asked for an optimisation."""

    MANUAL = "manual"
    PRICE_CHANGE = "price_change"
    TIME_BASED = "time_based"
    RISK_ALERT = "risk_alert"
    CONSTRAINT_VIOLATION = "constraint_violation"
    MARKET_EVENT = "market_event"


class Status(models.TextChoices):
    """Where a request stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class OptimizationRequest(models.Model):
    """One request from its admission to its only end.

    ::

        submit ─▶ queued ──claim──▶ running ──▶ succeeded
                    │                 │  ▲ └──▶ failed
                    │                 └──┘ lease lost: attempt + 1
                    └────cancel───────┴───────▶ cancelled

    A cache hit is born ``succeeded``. Every transition is a conditional update in
    ``optimization.services``; ``fence`` is the token of the worker that holds the request, so
    a worker that lost its lease cannot end it.
    """

    request_id = models.CharField(max_length=100, unique=True)
    owner = models.CharField(max_length=64, help_text="Who may see it: user:ID, or local.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="optimization_requests",
    )
    client_id = models.CharField(max_length=64)
    # Null, because many requests without a key must not collide in the unique constraint.
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001

    method = models.CharField(max_length=32, choices=[(m.value, m.value) for m in Method])
    objective = models.CharField(max_length=32, choices=[(o.value, o.value) for o in Objective])
    trigger = models.CharField(max_length=32, choices=Trigger.choices, default=Trigger.MANUAL)
    lane = models.CharField(max_length=16, choices=[(lane.value, lane.value) for lane in Lane])
    symbols = models.JSONField()
    constraints = models.JSONField(default=dict)
    parameters = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    fence = models.BigIntegerField(default=0)
    cached = models.BooleanField(default=False)
    data_version = models.CharField(max_length=64, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    optimization_time = models.FloatField(
        null=True, blank=True, help_text="Seconds from the worker's claim to the end."
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], name="one_request_per_idempotency_key"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "finished_at"]),
            models.Index(fields=["owner", "-id"]),
            models.Index(fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return self.request_id

    @property
    def is_terminal(self) -> bool:
        """Whether the request has ended."""
        return self.status in TERMINAL

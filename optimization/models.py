"""What the optimisation layer remembers: requests with their whole life."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from optimization.engine.problem import Method, Objective
from optimization.queue.lanes import Lane


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


class Kind(models.TextChoices):
    """What a request asks for."""

    OPTIMIZATION = "optimization"
    FRONTIER = "frontier"


ACTIVE = (Status.QUEUED, Status.RUNNING)
TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


def method_choices() -> list[tuple[str, str]]:
    """The methods; a function, so that a new one needs no migration."""
    return [(method.value, method.value) for method in Method]


def objective_choices() -> list[tuple[str, str]]:
    """The objectives; a function, so that a new one needs no migration."""
    return [(objective.value, objective.value) for objective in Objective]


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

    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.OPTIMIZATION)
    method = models.CharField(max_length=32, choices=method_choices)
    objective = models.CharField(max_length=32, choices=objective_choices)
    trigger = models.CharField(max_length=32, choices=Trigger.choices, default=Trigger.MANUAL)
    lane = models.CharField(max_length=16, choices=[(lane.value, lane.value) for lane in Lane])
    symbols = models.JSONField()
    constraints = models.JSONField(default=dict)
    parameters = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)

    portfolio_id = models.CharField(
        max_length=40, blank=True, help_text="The watched portfolio that it is for."
    )

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    fence = models.BigIntegerField(default=0)
    cached = models.BooleanField(default=False)
    data_version = models.CharField(max_length=64, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)

    traceparent = models.CharField(
        max_length=55, blank=True, default="", db_default="", help_text="Context of its trace."
    )

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    optimization_time = models.FloatField(
        null=True, blank=True, help_text="Seconds from the worker's claim to the end."
    )

    begun_at: float | None = None
    """When this process began its first attempt, by the monotonic clock; not a column."""

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


class Portfolio(models.Model):
    """A watched portfolio: what it holds, and what makes it be optimised again.

    ``shares``, ``target_weights`` and ``base_prices`` are in the order of ``symbols``. A portfolio
    that ``follows`` is a paper one: it is rebalanced to every result. The others keep the shares
    that their owner gave, and drift from the target until the owner says otherwise.
    """

    portfolio_id = models.CharField(max_length=40, unique=True)
    owner = models.CharField(max_length=64, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True
    )
    name = models.CharField(max_length=100)
    symbols = models.JSONField()
    shares = models.JSONField()
    follows = models.BooleanField(default=True)
    target_weights = models.JSONField()
    objective = models.CharField(max_length=32, choices=objective_choices)
    constraints = models.JSONField(default=dict, blank=True)
    method = models.CharField(max_length=32, choices=method_choices)
    parameters = models.JSONField(default=dict, blank=True)
    rules = models.JSONField(default=list, blank=True)
    active = models.BooleanField(default=True)

    created_at = models.DateTimeField(auto_now_add=True)
    optimized_at = models.DateTimeField(null=True, blank=True)
    base_prices = models.JSONField(help_text="Prices at the last optimisation.")
    base_data_version = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.portfolio_id})"

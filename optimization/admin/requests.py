"""The history of requests in Django's admin: read-only, with *cancel* and *run again*."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from optimization.admin.portfolios import PortfolioAdmin
from optimization.admin.tables import document_table, rows_table, sentence_list, two_lines
from optimization.errors import RequestError
from optimization.models import Kind, OptimizationRequest
from optimization.presentation import (
    NO_VALUE,
    Row,
    document_rows,
    explanation,
    metric_rows,
    moment,
    percent,
    seconds,
    some_symbols,
    weight_rows,
    window_words,
)
from optimization.repeating import owner_of, resubmission
from optimization.services import request_cancel, request_submit

if TYPE_CHECKING:
    RequestAdminBase = admin.ModelAdmin[OptimizationRequest]
else:
    RequestAdminBase = admin.ModelAdmin

__all__ = ["OptimizationRequestAdmin", "PortfolioAdmin"]

ADMIN_CLIENT = "admin"
"""The client of requests that an operator runs again."""

_UNLISTED = ("result", "metadata", "constraints", "parameters")


@admin.register(OptimizationRequest)
class OptimizationRequestAdmin(RequestAdminBase):
    """Every request with its whole life."""

    list_display = (
        "submitted",
        "status",
        "problem",
        "trigger",
        "waited",
        "ran",
        "owner",
    )
    list_filter = ("status", "method", "objective", "trigger", "lane", "cached", "kind")
    search_fields = ("request_id", "client_id", "owner", "idempotency_key", "symbols")
    search_help_text = "Request, client, owner, idempotency key or symbol"
    date_hierarchy = "created_at"
    list_per_page = 50
    show_full_result_count = False
    actions = ("cancel", "run_again")

    class Media:
        css: ClassVar = {"all": ("optimization/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[OptimizationRequest]:
        """Leave out what the list does not show: results of many symbols are large."""
        queryset = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and match.url_name == "optimization_optimizationrequest_changelist":
            return queryset.defer(*_UNLISTED)
        return queryset

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Requests come through the wire, the REST API and the commands."""
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: OptimizationRequest | None = None,  # noqa: ARG002
    ) -> bool:
        """History does not change."""
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: OptimizationRequest | None = None,  # noqa: ARG002
    ) -> bool:
        """History is pruned by ``manage.py prune_requests`` alone."""
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may change requests may cancel them and run them again; who may view may not."""
        return request.user.has_perm("optimization.change_optimizationrequest")

    @admin.action(description="Cancel selected requests", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[OptimizationRequest]) -> None:
        """End those of the requests that wait or run."""

        def end(row: OptimizationRequest) -> str:
            return request_cancel(owner_of(row), row.request_id).request_id

        self._each(request, queryset, end, "Cancelled")

    @admin.action(description="Run selected requests again", permissions=["operate"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[OptimizationRequest]) -> None:
        """Submit the same content anew, on today's data."""

        def submit(row: OptimizationRequest) -> str:
            return request_submit(resubmission(row, ADMIN_CLIENT)).request.request_id

        self._each(request, queryset, submit, "Submitted")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[OptimizationRequest],
        act: Callable[[OptimizationRequest], str],
        done: str,
    ) -> None:
        """Act on every row and say what became of it; one refusal keeps no other row back."""
        acted: list[str] = []
        for row in queryset.order_by("id"):
            try:
                acted.append(act(row))
            except RequestError as error:
                self.message_user(request, f"{row.request_id}: {error.message}", messages.WARNING)
        if acted:
            self.message_user(request, f"{done}: {', '.join(acted)}", messages.SUCCESS)

    def get_fieldsets(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: OptimizationRequest | None = None,
    ) -> Any:
        """Sections of the detail page; those that have nothing to say are left out."""
        head = (
            "request_id",
            "kind",
            "status",
            "method",
            "objective",
            "trigger",
            "all_symbols",
            "cached",
        )
        sections: list[tuple[str | None, dict[str, Any]]] = [(None, {"fields": head})]
        if obj is not None and obj.error is not None:
            sections.append(("Error", {"fields": ("error_text",)}))
        if obj is not None and obj.result is not None:
            one = ("weights", "metrics", "explained")
            shown = ("points",) if obj.kind == Kind.FRONTIER else one
            found = (*shown, "evidence")
            sections.append(("Result", {"fields": found}))
        sections += [
            ("Asked for", {"fields": ("asked_constraints", "asked_parameters", "notes")}),
            (
                "Run",
                {"fields": ("created_at", "started_at", "finished_at", "waited", "ran", "lane",
                            "attempt", "data_version")},
            ),
            ("Who", {"fields": ("owner", "user", "client_id", "idempotency_key")}),
        ]  # fmt: skip
        return sections

    @admin.display(description="submitted", ordering="created_at")
    def submitted(self, row: OptimizationRequest) -> SafeString:
        """When, to the second, and under which name."""
        return two_lines(moment(row.created_at), row.request_id)

    @admin.display(description="problem", ordering="objective")
    def problem(self, row: OptimizationRequest) -> SafeString:
        """The first few symbols, and what is asked of them."""
        return two_lines(some_symbols(row.symbols), f"{row.objective} by {row.method}")

    @admin.display(description="symbols")
    def all_symbols(self, row: OptimizationRequest) -> str:
        """Every symbol."""
        return ", ".join(row.symbols)

    @admin.display(description="waited")
    def waited(self, row: OptimizationRequest) -> str:
        """From the submission to the worker's claim."""
        if row.started_at is None:
            return NO_VALUE
        return seconds((row.started_at - row.created_at).total_seconds())

    @admin.display(description="ran", ordering="optimization_time")
    def ran(self, row: OptimizationRequest) -> str:
        """From the worker's claim to the end; a result of the cache ran before."""
        return "cached" if row.cached else seconds(row.optimization_time)

    @admin.display(description="weights")
    def weights(self, row: OptimizationRequest) -> SafeString:
        """Weights as a table with bars."""
        return rows_table(weight_rows((row.result or {}).get("weights", {})), "Symbol", "Weight")

    @admin.display(description="metrics")
    def metrics(self, row: OptimizationRequest) -> SafeString:
        """Metrics as a table."""
        return rows_table(metric_rows((row.result or {}).get("metrics", {})), "Metric", "Value")

    @admin.display(description="frontier")
    def points(self, row: OptimizationRequest) -> SafeString:
        """Return and risk of every point of a frontier."""
        metrics = [point["metrics"] for point in (row.result or {}).get("points", [])]
        rows = [
            Row(percent(figures["expected_return"]), percent(figures["expected_volatility"]))
            for figures in metrics
        ]
        return rows_table(rows, "Expected return (a year)", "Volatility (a year)")

    @admin.display(description="explanation")
    def explained(self, row: OptimizationRequest) -> SafeString:
        """What holds the optimum back."""
        sentences = explanation((row.result or {}).get("metadata", {}))
        return sentence_list(sentences)

    @admin.display(description="evidence")
    def evidence(self, row: OptimizationRequest) -> SafeString:
        """How the result was found, and how good it is certified to be."""
        metadata = (row.result or {}).get("metadata", {})
        facts = {
            "Solver": metadata.get("solver"),
            "Solve time": seconds(metadata.get("solve_time")),
            "Certified gap": percent(metadata.get("optimality_gap")),
            "Largest violation": metadata.get("max_violation"),
            "Covariance": metadata.get("covariance"),
            "Seed": metadata.get("seed"),
            "Window": window_words(metadata["window"]) if "window" in metadata else NO_VALUE,
            "Prices": metadata.get("data_sources", {}),
        }
        return rows_table(document_rows(facts), "Fact", "Value")

    @admin.display(description="error")
    def error_text(self, row: OptimizationRequest) -> SafeString:
        """What went wrong and which fields to change."""
        return document_table(row.error or {})

    @admin.display(description="constraints")
    def asked_constraints(self, row: OptimizationRequest) -> SafeString:
        """The constraints as they were recorded."""
        return document_table(row.constraints)

    @admin.display(description="parameters")
    def asked_parameters(self, row: OptimizationRequest) -> SafeString:
        """The parameters as they were recorded."""
        return document_table(row.parameters)

    @admin.display(description="metadata")
    def notes(self, row: OptimizationRequest) -> SafeString:
        """The client's own notes."""
        return document_table(row.metadata)

    def get_readonly_fields(
        self, request: HttpRequest, obj: OptimizationRequest | None = None
    ) -> tuple[str, ...]:
        """All of them."""
        sections = self.get_fieldsets(request, obj)
        return tuple(field for _, section in sections for field in section["fields"])

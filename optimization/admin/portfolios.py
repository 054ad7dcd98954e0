"""Watched portfolios in Django's admin: to look at, to change, to pause one by one."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from optimization.admin.portfolio_form import PortfolioForm
from optimization.admin.tables import rows_table, two_lines
from optimization.models import Portfolio
from optimization.presentation import NO_VALUE, Row, moment, percent, some_symbols
from optimization.watching.portfolios import announce_change, portfolio_change

if TYPE_CHECKING:
    PortfolioAdminBase = admin.ModelAdmin[Portfolio]
else:
    PortfolioAdminBase = admin.ModelAdmin


@admin.register(Portfolio)
class PortfolioAdmin(PortfolioAdminBase):
    """Every portfolio that is or was watched."""

    form = PortfolioForm

    list_display = (
        "portfolio",
        "problem",
        "rule_kinds",
        "active",
        "last_optimized",
        "owner",
    )
    list_filter = ("active", "method", "objective", "follows")
    search_fields = ("portfolio_id", "name", "owner", "symbols")
    show_full_result_count = False
    actions = ("stop_watching", "watch_again")
    readonly_fields = (
        *("portfolio_id", "owner", "follows", "holdings"),
        *("created_at", "optimized_at", "base_data_version"),
    )
    fieldsets = (
        (None, {"fields": ("portfolio_id", "name", "owner", "active")}),
        ("Optimised again when", {"fields": ("rules",)}),
        ("Problem", {"fields": ("objective", "method", "constraints", "parameters")}),
        ("Holdings", {"fields": ("holdings", "follows")}),
        ("Run", {"fields": ("created_at", "optimized_at", "base_data_version")}),
    )

    class Media:
        css = {"all": ("optimization/admin.css",)}  # noqa: RUF012 - Django reads it so

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Portfolios come through the wire, the REST API and ``manage.py watch``."""
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Portfolio | None = None,  # noqa: ARG002
    ) -> bool:
        """Its requests name it."""
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may change requests may stop what makes them."""
        return request.user.has_perm("optimization.change_optimizationrequest")

    def save_model(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Portfolio,
        form: PortfolioForm,
        change: bool,  # noqa: ARG002
    ) -> None:
        """Change what the form may change, and nothing else of the row."""
        portfolio_change(obj, form.order, active=form.cleaned_data["active"])

    @admin.action(description="Stop watching selected portfolios", permissions=["operate"])
    def stop_watching(self, request: HttpRequest, queryset: QuerySet[Portfolio]) -> None:
        """Let their rules rest."""
        self._set(request, queryset, active=False)

    @admin.action(description="Watch selected portfolios again", permissions=["operate"])
    def watch_again(self, request: HttpRequest, queryset: QuerySet[Portfolio]) -> None:
        """Let their rules work."""
        self._set(request, queryset, active=True)

    def _set(self, request: HttpRequest, queryset: QuerySet[Portfolio], *, active: bool) -> None:
        changed = queryset.filter(active=not active).update(active=active)
        announce_change()
        verb = "watched again" if active else "no longer watched"
        self.message_user(request, f"{changed} portfolios are {verb}.", messages.SUCCESS)

    @admin.display(description="portfolio", ordering="name")
    def portfolio(self, row: Portfolio) -> SafeString:
        """What it is called, by people and by programs."""
        return two_lines(row.name or NO_VALUE, row.portfolio_id)

    @admin.display(description="problem", ordering="objective")
    def problem(self, row: Portfolio) -> SafeString:
        """The first few symbols, and what is asked of them."""
        return two_lines(some_symbols(row.symbols), f"{row.objective} by {row.method}")

    @admin.display(description="optimized", ordering="optimized_at")
    def last_optimized(self, row: Portfolio) -> str:
        """When, to the second."""
        return moment(row.optimized_at)

    @admin.display(description="rules")
    def rule_kinds(self, row: Portfolio) -> str:
        """Kinds of its rules."""
        return ", ".join(rule["kind"] for rule in row.rules)

    @admin.display(description="holdings")
    def holdings(self, row: Portfolio) -> SafeString:
        """Shares and target weights."""
        figures = zip(row.symbols, row.shares, row.target_weights, strict=True)
        rows = [Row(s, f"{shares:,.4f} shares, target {percent(w)}") for s, shares, w in figures]
        return rows_table(rows, "Symbol", "Holding")

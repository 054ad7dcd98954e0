"""Market data in the admin: to look at, not to touch. Commands and feeds change it."""

import time
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from redis.exceptions import RedisError

from marketdata.models import Asset, Bar, DataVersion, QuarantinedTick
from marketdata.quotes import feed_status


def _feed_state() -> tuple[str, bool]:
    """One sentence on the feed, and whether it is worth a warning."""
    try:
        status = feed_status()
    except RedisError as error:
        return f"Redis does not answer: {error}", True
    if status.last_tick is None:
        return "No feed has ticked yet.", True
    seconds = max(0.0, time.time() - status.last_tick)
    state = "is stale; automatic triggers pause" if status.stale else "is live"
    return f"Feed {status.name} {state}. Last tick {seconds:.0f} s ago.", status.stale


class _ReadOnly:
    """Nothing can be added, changed or deleted."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Never."""
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        """Never; viewing stays as the user's permissions say."""
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        """Never."""
        return False


@admin.register(Asset)
class AssetAdmin(_ReadOnly, ModelAdmin):  # type: ignore[type-arg]
    """Symbols with their histories' extent."""

    list_display = ("symbol", "name", "source", "first_date", "last_date", "bar_count")
    list_filter = ("source",)
    search_fields = ("symbol", "name")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, headed by how the feed does; a stale feed is a warning."""
        told, stale = _feed_state()
        if stale:
            messages.warning(request, told)
        return super().changelist_view(request, {"subtitle": told, **(extra_context or {})})


@admin.register(Bar)
class BarAdmin(_ReadOnly, ModelAdmin):  # type: ignore[type-arg]
    """Closes of one day or of one symbol, never all of them: there are hundreds of thousands."""

    list_display = ("asset", "date", "close")
    list_select_related = ("asset",)
    search_fields = ("=asset__symbol",)
    search_help_text = "Symbol. Without one, the bars of the newest day are shown."
    ordering = ("-date", "asset__symbol")
    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bar]:
        """Bars of the newest day, unless a symbol is searched for or one bar is opened."""
        bars = super().get_queryset(request)
        match = request.resolver_match
        listing = match is not None and str(match.url_name).endswith("_changelist")
        if not listing or request.GET.get("q"):
            return bars
        newest = DataVersion.objects.values_list("last_date", flat=True).first()
        return bars.filter(date=newest)


@admin.register(DataVersion)
class DataVersionAdmin(_ReadOnly, ModelAdmin):  # type: ignore[type-arg]
    """What changed the bars, and when."""

    list_display = ("name", "created_at", "last_date", "row_count", "asset_count", "reason")
    search_fields = ("name", "reason")
    date_hierarchy = "created_at"


@admin.register(QuarantinedTick)
class QuarantinedTickAdmin(_ReadOnly, ModelAdmin):  # type: ignore[type-arg]
    """Refused ticks and why."""

    list_display = ("symbol", "price", "previous_price", "reason", "feed", "received_at")
    list_filter = ("reason", "feed", "received_at")
    search_fields = ("=symbol",)
    show_full_result_count = False

"""The service page of the admin: figures drawn as bars, and what an operator may do about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from csp.decorators import csp_update
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from redis.exceptions import RedisError

from marketdata.errors import MarketDataError
from marketdata.sample import sample_load
from optimization.errors import AlreadyFinishedError, RequestError
from optimization.models import OptimizationRequest, Status
from optimization.presentation import percent, seconds
from optimization.queue.lanes import Lane
from optimization.repeating import owner_of
from optimization.services import request_cancel
from optimization.solving import result_cache
from optimization.watching.pausing import triggers_pause, triggers_resume
from streaming.monitoring.figures import MethodFigures, ServiceFigures, service_figures
from streaming.pages import TRUSTED_TYPES

OPERATE = "optimization.change_optimizationrequest"
"""The permission to act; every member of the staff may look."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its bar.

    Attributes:
        name: What it is.
        text: The figure with its unit.
        width: Length of the bar, from 0 to 100.
    """

    name: str
    text: str
    width: float


def lane_drain(lane: Lane) -> int:
    """Cancel every request that waits in a lane; those that run go on. Returns how many."""
    waiting = OptimizationRequest.objects.filter(status=Status.QUEUED, lane=lane.value)
    cancelled = 0
    for row in waiting.order_by("id"):
        try:
            request_cancel(owner_of(row), row.request_id)
        except AlreadyFinishedError:
            continue
        cancelled += 1
    return cancelled


@require_http_methods(["GET", "HEAD", "POST"])
@csp_update(TRUSTED_TYPES)
def service_page(request: HttpRequest) -> HttpResponse:
    """Show the figures, or do what an operator asks and show them anew."""
    if request.method == "POST":
        return _act(request)
    context = {**admin.site.each_context(request), "title": "Service"}
    context["may_operate"] = request.user.has_perm(OPERATE)
    try:
        context |= _figures(service_figures())
    except (RedisError, DatabaseError) as error:
        context["unreachable"] = f"{type(error).__name__}: {error}"
    return render(request, "admin/streaming/service.html", context)


def _act(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(OPERATE):
        raise PermissionDenied
    action = _ACTIONS.get(request.POST.get("action", ""))
    if action is None:
        messages.error(request, "Unknown action.")
    else:
        try:
            messages.success(request, action())
        except (RequestError, RedisError, DatabaseError) as error:
            messages.error(request, str(error))
        except MarketDataError as error:
            messages.error(request, error.message)
    return HttpResponseRedirect(reverse("admin-service"))


def _drain(lane: Lane) -> Callable[[], str]:
    return lambda: f"Cancelled {lane_drain(lane)} requests that waited in the {lane} lane."


def _purge() -> str:
    return f"Forgot {result_cache.purge()} cached results."


def _pause() -> str:
    triggers_pause()
    return "Automatic triggers are paused."


def _resume() -> str:
    triggers_resume()
    return "Automatic triggers run again."


def _reload_sample() -> str:
    # Not by the command: what it draws its progress with is kept out of web processes.
    return sample_load()


_ACTIONS: Mapping[str, Callable[[], str]] = {
    **{f"drain:{lane}": _drain(lane) for lane in Lane},
    "purge_cache": _purge,
    "pause_triggers": _pause,
    "resume_triggers": _resume,
    "reload_sample": _reload_sample,
}


def _figures(figures: ServiceFigures) -> dict[str, Any]:
    """What the template shows."""
    longest = max((lane.waiting for lane in figures.lanes), default=0) or 1
    slowest = max((method.ran.p99 or 0.0 for method in figures.methods), default=0.0) or 1.0
    feed_age = None if figures.feed_age is None else seconds(figures.feed_age)
    return {
        "figures": figures,
        "lanes": [(lane, 100 * lane.waiting / longest) for lane in figures.lanes],
        "methods": [_method(method, slowest) for method in figures.methods],
        "hit_rate": percent(
            figures.cache.hits / figures.cache.total_accesses
            if figures.cache.total_accesses
            else None
        ),
        "feed_age": feed_age,
    }


def _method(method: MethodFigures, slowest: float) -> dict[str, Any]:
    percentiles = {"p50": method.ran.p50, "p90": method.ran.p90, "p99": method.ran.p99}
    return {
        "name": method.method,
        "total": method.total,
        "error_rate": percent(method.error_rate),
        "error_width": round(100 * method.error_rate, 2),
        "waited": seconds(method.waited.p50),
        "bars": [
            Bar(name, seconds(value), round(100 * (value or 0.0) / slowest, 2))
            for name, value in percentiles.items()
        ],
    }


admin_service = admin.site.admin_view(service_page)
"""The page behind the admin's own sign-in and CSRF check."""

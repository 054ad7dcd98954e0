"""The dashboard page at ``/``."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

STATIC_PREFIX = "dashboard"
"""Where the built files are found below ``STATIC_URL``; Vite's ``base`` says the same."""

_ENTRY = "src/main.tsx"
TRUSTED_TYPES = {"require-trusted-types-for": ["'script'"], "trusted-types": ["'none'"]}
"""No script of the page may turn text into markup or code."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The files that the page loads, below ``STATIC_URL``.

    Attributes:
        script: Its module.
        styles: Its style sheets.
    """

    script: str
    styles: tuple[str, ...]


@lru_cache
def built_assets(dist: Path) -> Assets | None:
    """What the last build left in a folder, or None when there was none.

    Read once per process, like the list of static files: a new build is seen after a restart.
    """
    try:
        manifest = json.loads((dist / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    entry = manifest[_ENTRY]
    return Assets(
        script=f"{STATIC_PREFIX}/{entry['file']}",
        styles=tuple(f"{STATIC_PREFIX}/{name}" for name in entry.get("css", ())),
    )


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """The icon, which browsers ask for here wherever a page names none, such as a refusal."""
    return redirect(static("streaming/icon.svg"))


@require_safe
@never_cache
@csp_update(TRUSTED_TYPES)
def dashboard(request: HttpRequest) -> HttpResponse:
    """The page, or a plain one that says how to build it; strangers are asked to sign in."""
    if not settings.LOCAL_MODE and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    assets = built_assets(settings.DASHBOARD_DIST)
    if assets is None:
        return render(request, "streaming/not_built.html", status=503)
    return render(
        request,
        "streaming/dashboard.html",
        {"assets": assets, "lookback": settings.DEFAULT_LOOKBACK},
    )

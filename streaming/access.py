"""Who may do what: one rule for the wire, REST and the pages."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class IsAllowed(BasePermission):
    """Everybody in local mode; otherwise whoever is signed in."""

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002
        """Whether the request may proceed."""
        return bool(settings.LOCAL_MODE or request.user.is_authenticated)


def origin_is_allowed(origin: str | None, host: str | None) -> bool:
    """Whether a WebSocket handshake may proceed.

    Browsers always send an ``Origin``: it must be the server's own or one of ``ALLOWED_ORIGINS``,
    so that a stranger's page cannot use its visitor's session. The ``Host`` must be one of
    ``ALLOWED_HOSTS``, so that a name that was rebound to loopback is refused. A program sends no
    ``Origin``: it is welcome in local mode and needs a token otherwise.
    """
    domain, _port = split_domain_port(host or "")
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return False
    if origin is None:
        return bool(settings.LOCAL_MODE)
    if origin in settings.ALLOWED_ORIGINS:
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == (host or "").lower()

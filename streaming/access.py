"""Who may do what: one rule for the wire, REST and the pages."""

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class IsAllowed(BasePermission):
    """Everybody in local mode; otherwise whoever is signed in."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
        """Whether the request may proceed."""
        return bool(settings.LOCAL_MODE or request.user.is_authenticated)

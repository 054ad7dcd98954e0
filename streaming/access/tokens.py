"""API tokens: make, check, revoke. A token reads ``qe_PREFIX_SECRET``."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from streaming.models import ApiToken, Scope

PREFIX_BYTES = 6
SECRET_BYTES = 32
LAST_USED_STEP = timedelta(minutes=1)
"""How exactly the last use is recorded: one write per token and step, not one per request."""

_SHAPE = re.compile(r"qe_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"").hexdigest()


class TokenError(Exception):
    """A token that opens nothing; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token to be made.

    Attributes:
        user: Whose account it opens.
        name: What it is for.
        scope: What it allows.
        expires_at: When it ends, or None for never.
    """

    user: User
    name: str
    scope: Scope = Scope.READ
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.strip()) <= 100:
            raise TokenError("name must have 1 to 100 characters")
        if self.expires_at is not None and self.expires_at <= timezone.now():
            raise TokenError("expires_at lies in the past; choose a later moment")


def token_create(order: TokenOrder) -> tuple[ApiToken, str]:
    """Make a token; returns its row and the secret text, which is kept nowhere."""
    token = ApiToken(
        user=order.user, name=order.name.strip(), scope=order.scope, expires_at=order.expires_at
    )
    text = token_issue(token)
    token.save()
    return token, text


def token_issue(token: ApiToken) -> str:
    """Give an unsaved row its prefix and digest; returns the secret text."""
    prefix, secret = secrets.token_hex(PREFIX_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    token.prefix, token.digest = prefix, _digest(secret)
    return f"qe_{prefix}_{secret}"


def token_revoke(token: ApiToken) -> None:
    """End a token at once; connections that it opened are closed within seconds."""
    if token.revoked_at is None:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])


def token_check(text: str) -> ApiToken:
    """The token behind a secret text, with its user; its use is recorded.

    The row is found by its public prefix and the secret compared in constant time, so that
    timing tells nothing of it.

    Raises:
        TokenError: It is forged, expired or revoked, or its user is not active.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise TokenError("this is no API token; it reads qe_PREFIX_SECRET")
    token = ApiToken.objects.select_related("user").filter(prefix=match[1]).first()
    matches = hmac.compare_digest(_digest(match[2]), token.digest if token else _NOBODY)
    if token is None or not matches or not token.user.is_active:
        raise TokenError("the API token is not known")
    now = timezone.now()
    if not token.is_valid(now):
        end = "was revoked" if token.revoked_at else "has expired"
        raise TokenError(f"the API token {end}; create another one")
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - LAST_USED_STEP)
    if token.last_used_at is None or token.last_used_at < now - LAST_USED_STEP:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    return token


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

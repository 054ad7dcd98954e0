"""Who may do what: one rule for the wire, REST and the pages."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.contrib.sessions.models import Session
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from optimization.submissions import Owner
from streaming.models import ApiToken, Scope
from streaming.protocol import ClientMessage

BEARER_SUBPROTOCOL = "bearer."
"""Beginning of the second subprotocol that a client offers, and the server never answers."""

READS_ONLY = frozenset(
    {
        ClientMessage.AUTH,
        ClientMessage.HEARTBEAT,
        ClientMessage.RESUME,
        ClientMessage.SUBSCRIBE,
        ClientMessage.UNSUBSCRIBE,
    }
)
"""Frames that a read token may send; all others need the scope ``trade``."""


@dataclass(frozen=True, slots=True)
class Credential:
    """On what grounds a connection is open, as known when it was opened.

    Attributes:
        owner: Whose rows it sees.
        username: The user's name; empty for an anonymous client in local mode.
        may_trade: Whether it may submit, cancel and watch.
        expires_at: When its token ends, or None.
        token_id: The token, for a program.
        session_key: The session, for a page.
        session_hash: Changes with the user's password.
    """

    owner: Owner
    username: str = ""
    may_trade: bool = True
    expires_at: datetime | None = None
    token_id: int | None = None
    session_key: str | None = None
    session_hash: str = ""

    @classmethod
    def of_token(cls, token: ApiToken) -> Self:
        """What a checked token allows."""
        return cls(
            owner=Owner.of(token.user),
            username=token.user.get_username(),
            may_trade=token.scope == Scope.TRADE,
            expires_at=token.expires_at,
            token_id=token.pk,
        )

    @classmethod
    def of_user(
        cls, user: AbstractBaseUser | AnonymousUser | None, session_key: str | None
    ) -> Self:
        """What a session allows; without one, what an anonymous client may in local mode."""
        if user is None or not isinstance(user, AbstractBaseUser):
            return cls(Owner.of(None))
        return cls(
            owner=Owner.of(user),
            username=user.get_username(),
            session_key=session_key,
            session_hash=user.get_session_auth_hash(),
        )


def ended_credentials(credentials: Iterable[Credential]) -> set[Credential]:
    """Those credentials that hold no longer: expired, revoked, signed out, or of a disabled user.

    Three queries, however many credentials there are.
    """
    held = {c for c in credentials if c.owner.user_id is not None}
    if not held:
        return set()
    now = timezone.now()
    users = {
        user.pk: user.get_session_auth_hash()
        for user in User.objects.filter(pk__in={c.owner.user_id for c in held}, is_active=True)
    }
    token_ids = {c.token_id for c in held if c.token_id is not None}
    rows = ApiToken.objects.filter(pk__in=token_ids) if token_ids else ()
    tokens = {token.pk for token in rows if token.is_valid(now)}
    keys = {c.session_key for c in held if c.session_key is not None}
    found = Session.objects.filter(session_key__in=keys, expire_date__gt=now) if keys else None
    sessions = set(found.values_list("session_key", flat=True)) if found is not None else set()

    def holds(credential: Credential) -> bool:
        user_id = credential.owner.user_id
        if user_id not in users:
            return False
        if credential.token_id is not None:
            return credential.token_id in tokens
        unchanged = not credential.session_hash or credential.session_hash == users[user_id]
        return unchanged and (credential.session_key is None or credential.session_key in sessions)

    return {credential for credential in held if not holds(credential)}


class IsAllowed(BasePermission):
    """Everybody in local mode; otherwise whoever is signed in, and changes need ``trade``."""

    message = "this token has the scope 'read'; a change needs one with the scope 'trade'"

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002
        """Whether the request may proceed."""
        token = request.auth
        if isinstance(token, ApiToken):
            return request.method in SAFE_METHODS or token.scope == Scope.TRADE
        return bool(settings.LOCAL_MODE or request.user.is_authenticated)


def origin_is_allowed(origin: str | None, host: str | None) -> bool:
    """Whether a request may come from where it says it comes from.

    Browsers always send an ``Origin``: it must be the server's own or one of ``ALLOWED_ORIGINS``,
    so that a stranger's page cannot use its visitor's session. The ``Host`` must be one of
    ``ALLOWED_HOSTS``, so that a name that was rebound to loopback is refused. A program sends no
    ``Origin``: it passes here, and shows a token where sign-in is required.
    """
    domain, _port = split_domain_port(host or "")
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return False
    if origin is None or origin in settings.ALLOWED_ORIGINS:
        return True
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == (host or "").lower()


def bearer_token(authorization: str | None, subprotocols: Iterable[str]) -> str | None:
    """The token of a handshake, from its header or from a subprotocol ``bearer.TOKEN``."""
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    for name in subprotocols:
        if name.startswith(BEARER_SUBPROTOCOL):
            return name.removeprefix(BEARER_SUBPROTOCOL)
    return None


def client_address(peer: str | None, forwarded_for: str | None) -> str:
    """The client's address: the peer's, or what trusted proxies say of it.

    Each proxy appends the peer that it saw to ``X-Forwarded-For``; a client can write there what
    it likes. So the list is read from its end, and only as far as ``TRUSTED_PROXIES`` wrote it.
    """
    hops = [hop.strip() for hop in (forwarded_for or "").split(",") if hop.strip()]
    address = peer or ""
    while hops and _is_trusted(address, tuple(settings.TRUSTED_PROXIES)):
        address = hops.pop()
    return address


def request_address(meta: Mapping[str, Any]) -> str:
    """The client's address of a Django request."""
    return client_address(meta.get("REMOTE_ADDR"), meta.get("HTTP_X_FORWARDED_FOR"))


def _is_trusted(address: str, proxies: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in _networks(proxies))


@lru_cache
def _networks(
    proxies: tuple[str, ...],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)

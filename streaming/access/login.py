"""Signing in with a password, slowed down for whoever guesses."""

import logging
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from redis.exceptions import RedisError

from marketdata.redis_client import redis_client, redis_key
from streaming.access.credentials import request_address

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 900
MOST_FAILURES: Mapping[str, int] = {"pair": 5, "address": 50, "user": 100}
"""Failures within the window: of one user at one address, of one address, of one user at all."""


def _keys(username: str, address: str) -> dict[str, str]:
    name = username.casefold()
    holders = {"pair": f"{address}|{name}", "address": address, "user": name}
    return {kind: redis_key("login", kind, holder) for kind, holder in holders.items()}


def begin_attempt(username: str, address: str) -> bool:
    """Count an attempt, before its password is looked at; False when there were too many.

    Counting first leaves no gap for attempts at the same time. Without Redis nothing is counted:
    operators have to get in just then, and argon2 still makes each guess dear.
    """
    keys = _keys(username, address)
    try:
        with redis_client().pipeline() as pipe:
            for key in keys.values():
                pipe.incr(key)
                pipe.expire(key, WINDOW_SECONDS, nx=True)
            counts = pipe.execute()[::2]
    except RedisError as error:
        logger.warning("sign-in attempts are not counted: %s", error)
        return True
    return all(count <= MOST_FAILURES[kind] for kind, count in zip(keys, counts, strict=True))


def end_attempt(username: str, address: str) -> None:
    """Take a successful attempt back: only failures count, and those of this pair are forgiven."""
    keys = _keys(username, address)
    try:
        with redis_client().pipeline() as pipe:
            pipe.delete(keys["pair"])
            pipe.decr(keys["address"])
            pipe.decr(keys["user"])
            pipe.execute()
    except RedisError as error:
        logger.warning("sign-in attempts are not counted: %s", error)


def is_locked(username: str, address: str) -> bool:
    """Whether the next attempt would be refused whatever its password."""
    keys = _keys(username, address)
    try:
        counts = redis_client().mget(list(keys.values()))
    except RedisError:
        return False
    return any(
        int(count or 0) >= MOST_FAILURES[kind] for kind, count in zip(keys, counts, strict=True)
    )


class ThrottledBackend(ModelBackend):
    """Passwords of the user table, with a bound on failures."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The user whose name and password these are, or None.

        Raises:
            PermissionDenied: There were too many failures; the password was not looked at.
        """
        address = request_address(request.META) if request is not None else ""
        if username is None or password is None:
            return None
        if not begin_attempt(username, address):
            logger.warning("too many failed sign-ins from %s", address)
            raise PermissionDenied
        user = super().authenticate(request, username, password, **kwargs)
        if user is not None:
            end_attempt(username, address)
        return user


class ThrottledLoginForm(AdminAuthenticationForm):
    """The admin's own form, which says when it is of no use to try on."""

    def clean(self) -> dict[str, Any]:
        """Check name and password.

        Raises:
            ValidationError: They are wrong, or there were too many failures.
        """
        try:
            return super().clean()
        except forms.ValidationError as error:
            username = str(self.cleaned_data.get("username", ""))
            if self.request is None or not is_locked(username, request_address(self.request.META)):
                raise
            raise forms.ValidationError(
                f"Too many failed sign-ins. Try again in {WINDOW_SECONDS // 60} minutes.",
                code="throttled",
            ) from error

"""Guessing passwords: bounded by pair, address and user, over all processes."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings
from redis import Redis

from marketdata.redis_client import redis_key
from streaming.access.login import begin_attempt, is_locked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]

LOGIN = "/admin/login/"
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def ann(settings: Settings) -> None:
    # Argon2 is dear on purpose; the count does not depend on it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    User.objects.create_user("ann", password=PASSWORD, is_staff=True)


def attempt(password: str, address: str = "198.51.100.7", username: str = "ann") -> str:
    """``in``, or the page's message."""
    content = {"username": username, "password": password}
    answer = Client().post(LOGIN, content, REMOTE_ADDR=address)
    return "in" if answer.status_code == 302 else answer.content.decode()


def test_a_guesser_is_locked_out_and_told_so_and_nobody_else_is() -> None:
    for _ in range(4):
        assert attempt("wrong") != "in"
    assert attempt(PASSWORD) == "in"
    for _ in range(5):
        assert attempt("wrong") != "in"
    assert "Too many failed sign-ins" in attempt(PASSWORD)
    assert "Too many failed sign-ins" in attempt(PASSWORD, username="ANN")
    assert attempt(PASSWORD, address="203.0.113.9") == "in"


def test_a_right_password_is_never_counted() -> None:
    for _ in range(51):
        assert attempt(PASSWORD) == "in"


def test_a_lock_ends_a_quarter_of_an_hour_after_the_first_failure(redis_server: Redis) -> None:
    for _ in range(5):
        attempt("wrong")
    keys = redis_server.keys(redis_key("login", "*"))
    assert len(keys) == 3
    for key in keys:
        assert 890 < redis_server.ttl(key) <= 900
        redis_server.expire(key, 100)
    assert "Try again in 15 minutes" in attempt(PASSWORD)
    assert all(redis_server.ttl(key) <= 100 for key in keys)
    for key in keys:
        redis_server.expire(key, 0)
    assert attempt(PASSWORD) == "in"


def test_many_names_from_one_address_are_counted_together() -> None:
    for number in range(49):
        assert begin_attempt(f"user{number}", "198.51.100.7")
    assert attempt(PASSWORD) == "in"
    assert begin_attempt("user49", "198.51.100.7")
    assert attempt(PASSWORD) != "in"
    assert attempt(PASSWORD, address="203.0.113.9") == "in"


def test_one_name_from_many_addresses_is_counted_together() -> None:
    for number in range(100):
        assert begin_attempt("ann", f"10.0.{number // 250}.{number % 250}")
    assert attempt(PASSWORD) != "in"


def test_a_proxy_that_is_not_trusted_gives_a_guesser_no_new_address(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = []
    content = {"username": "ann", "password": "wrong"}
    for number in range(5):
        forged = {"X-Forwarded-For": f"10.0.0.{number}"}
        Client().post(LOGIN, content, headers=forged, REMOTE_ADDR="198.51.100.7")
    assert is_locked("ann", "198.51.100.7")


def test_operators_get_in_while_redis_is_away(settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    assert attempt(PASSWORD) == "in"
    assert "Too many" not in attempt("wrong")


def test_passwords_are_kept_by_argon2(settings: Settings) -> None:
    from quantumedge import settings as production

    settings.PASSWORD_HASHERS = production.PASSWORD_HASHERS
    bob = User.objects.create_user("bob", password=PASSWORD, is_staff=True)
    assert bob.password.startswith("argon2$argon2id$")
    assert PASSWORD not in bob.password
    assert attempt(PASSWORD, username="bob") == "in"

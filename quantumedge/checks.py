"""System checks: every knob in range, and no combination that would let strangers in.

``manage.py serve``, ``manage.py check`` and the tests run them; each error says how to mend it.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from quantumedge.logs import FORMATS

TAG = "quantumedge"
"""Tag of these checks, to run them alone: the others import every page of the server."""

FEEDS = ("simulated", "replay", "alpaca", "coinbase", "none")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
REDIS_SCHEMES = ("redis", "rediss", "unix")
BROKER_SCHEMES = ("amqp", "amqps", "redis", "rediss", "redis+socket")


@dataclass(frozen=True)
class Range:
    """The values that a numeric knob may have, both ends included."""

    name: str
    least: float
    most: float
    unit: str


RANGES = (
    Range("CACHE_TTL", 1, 86_400, "seconds"),
    Range("MAX_QUEUE_SIZE", 1, 100_000, "requests"),
    Range("OPTIMIZATION_INTERVAL", 0, 86_400, "seconds"),
    Range("CACHE_PRICE_TOLERANCE", 0, 1, "as a fraction, 0.001 is 0.1 %"),
    Range("MAX_SYMBOLS", 1, 100_000, "symbols"),
    Range("MAX_MESSAGE_BYTES", 1024, 4_194_304, "bytes"),
    Range("MAX_MESSAGES_PER_SECOND", 1, 100_000, "messages"),
    Range("MAX_CONNECTIONS_PER_USER", 1, 1_000_000, "connections"),
    Range("MAX_STRANGERS_PER_ADDRESS", 1, 1_000_000, "connections"),
    Range("MAX_REST_REQUESTS_PER_SECOND", 1, 100_000, "requests"),
    Range("MAX_OUTBOX_BYTES", 65_536, 1_073_741_824, "bytes"),
    Range("DEFAULT_LOOKBACK", 2, 100_000, "returns"),
    Range("LEASE_SECONDS", 1, 3600, "seconds"),
    Range("FRONTIER_SPLIT_SECONDS", 0, 86_400, "seconds"),
    Range("DATABASE_TIMEOUT", 0, 3600, "seconds"),
    Range("REDIS_TIMEOUT", 0.1, 60, "seconds"),
    Range("FEED_STALE_SECONDS", 0.1, 86_400, "seconds"),
    Range("TOPIC_HISTORY", 0, 1_000_000, "frames"),
    Range("PORT", 0, 65_535, "as a TCP port; 0 takes a free one"),
    Range("CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT", 0, 600, "seconds; set SOFT_SHUTDOWN_SECONDS"),
    Range("WEB_PROCESSES", 1, 64, "processes"),
)
LANE_RANGES = {
    "HARD_TIME_LIMITS": Range("TIME_LIMIT", 1, 86_400, "seconds"),
    "WORKER_CONCURRENCY": Range("CONCURRENCY", 1, 256, "processes"),
}


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _outside(name: str, value: float, limits: Range) -> list[CheckMessage]:
    """One error when a value is out of its range."""
    # Written so that NaN, which is not between any two numbers, is refused too.
    if limits.least <= value <= limits.most:
        return []
    return [
        Error(
            f"{name} is {value}, which is out of range.",
            hint=f"Set it from {limits.least:g} to {limits.most:g} ({limits.unit}).",
            id="quantumedge.E001",
        )
    ]


@register(Tags.security, TAG)
def check_ranges(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's signature
    **kwargs: object,  # noqa: ARG001
) -> Iterable[CheckMessage]:
    """Numbers lie in their ranges."""
    found: list[CheckMessage] = []
    for limits in RANGES:
        found += _outside(limits.name, getattr(settings, limits.name), limits)
    for setting, limits in LANE_RANGES.items():
        for lane, value in getattr(settings, setting).items():
            found += _outside(f"{lane.upper()}_{limits.name}", value, limits)
    return found


@register(Tags.security, TAG)
def check_choices(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001
    **kwargs: object,  # noqa: ARG001
) -> Iterable[CheckMessage]:
    """Knobs that name one of a few things name one of them."""
    choices = {
        "FEED": (settings.FEED, FEEDS),
        "LOG_FORMAT": (settings.LOG_FORMAT, FORMATS),
        "LOG_LEVEL": (settings.LOG_LEVEL, LOG_LEVELS),
        "REDIS_URL": (urlsplit(settings.REDIS_URL).scheme, REDIS_SCHEMES),
        "BROKER_URL": (urlsplit(settings.BROKER_URL).scheme, BROKER_SCHEMES),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            what = "begins with" if name.endswith("_URL") else "is"
            yield Error(
                f"{name} {what} {value!r}, which is not known.",
                hint=f"Use one of: {', '.join(allowed)}.",
                id="quantumedge.E002",
            )
    for proxy in settings.TRUSTED_PROXIES:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            yield Error(
                f"TRUSTED_PROXIES contains {proxy!r}, which is neither an address nor a network.",
                hint="Write 10.0.0.2 or 10.0.0.0/8.",
                id="quantumedge.E008",
            )
    for origin in settings.ALLOWED_ORIGINS:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path:
            yield Error(
                f"ALLOWED_ORIGINS contains {origin!r}, which is not an origin.",
                hint="Write scheme and host, nothing after it: https://desk.example",
                id="quantumedge.E003",
            )


@register(Tags.security, TAG)
def check_access(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001
    **kwargs: object,  # noqa: ARG001
) -> Iterable[CheckMessage]:
    """Anonymous access stays on this machine, and a public server has secrets of its own."""
    if settings.LOCAL_MODE and not _is_loopback(settings.HOST):
        yield Error(
            f"LOCAL_MODE is on and HOST is {settings.HOST}: anybody in the network could use it.",
            hint="Set LOCAL_MODE=false (sign-in required) or HOST=127.0.0.1.",
            id="quantumedge.E004",
        )
    if settings.LOCAL_MODE:
        return
    if not settings.SECRET_KEY_CONFIGURED:
        yield Error(
            "LOCAL_MODE is off and SECRET_KEY is not set.",
            hint="Set SECRET_KEY to a long random value, the same for every process: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="quantumedge.E005",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "LOCAL_MODE is off and ALLOWED_HOSTS contains '*'.",
            hint="Name the hosts: ALLOWED_HOSTS=desk.example",
            id="quantumedge.E006",
        )
    if settings.DEBUG:
        yield Error(
            "LOCAL_MODE is off and DEBUG is on: error pages would show settings to strangers.",
            hint="Set DEBUG=false.",
            id="quantumedge.E007",
        )

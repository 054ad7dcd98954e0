"""Every knob of the server, once; each is read from the environment (or a ``.env`` file).

``quantumedge.checks`` refuses values out of range when the server starts. Knobs are listed in
``docs/settings.md``, which is made from this file's comments by ``manage.py export_settings``.
"""

import os
import secrets
import sys
from pathlib import Path

from csp.constants import NONE, SELF

from quantumedge.environment import Env, check_database, serves, socket_path
from quantumedge.logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
Env.read_env(BASE_DIR / ".env")

# -- Where things live

# Folder of everything the server writes: database, panels, logs, sockets.
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)

# Redis or Valkey. Unset: `manage.py serve` starts an embedded Valkey on a private socket.
EMBEDDED_REDIS_SOCKET = socket_path(DATA_DIR, "valkey.sock")
EMBEDDED_REDIS = not env.str("REDIS_URL", default="")
REDIS_URL = env.str("REDIS_URL", default="") or f"unix://{EMBEDDED_REDIS_SOCKET}"
# Seconds to wait for an answer of Redis; a line that went dead without a word is then given up.
REDIS_TIMEOUT = env.float("REDIS_TIMEOUT", default=2.0)
# Prefix of every Redis key, so that several servers can share one Redis.
REDIS_PREFIX = env.str("REDIS_PREFIX", default="qe")

# Celery's broker: Redis (the default: REDIS_URL) or amqp:// for RabbitMQ.
BROKER_URL = env.str("BROKER_URL", default="") or (
    f"redis+socket://{EMBEDDED_REDIS_SOCKET}" if EMBEDDED_REDIS else REDIS_URL
)

# -- Access

# Local mode: anonymous clients allowed, bound to loopback only.
LOCAL_MODE = env.bool("LOCAL_MODE", default=True)
# Address and port of the web server.
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
# Web server processes that share the port.
WEB_PROCESSES = env.int("WEB_PROCESSES", default=1)
# Host names this server answers to, comma-separated.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
# Origins of pages that may open a WebSocket besides the server's own, e.g. https://desk.example.
ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])


def _secret_key() -> str:
    """The configured key, or one that is made once and kept in DATA_DIR."""
    configured = env.str("SECRET_KEY", default="")
    if configured:
        return str(configured)
    path = DATA_DIR / "secret_key"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        key = secrets.token_urlsafe(50)
        file.write(key)
    return key


# Signing key of sessions. Unset: made at first start and kept in DATA_DIR (local mode only).
SECRET_KEY_CONFIGURED = bool(env.str("SECRET_KEY", default=""))
SECRET_KEY = _secret_key()
# Django's debug pages; never in production.
DEBUG = env.bool("DEBUG", default=False)
# Cookies only over TLS, HSTS; true whenever local mode is off.
SECURE = env.bool("SECURE", default=not LOCAL_MODE)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
# Whether plain HTTP is sent on to HTTPS (with SECURE only).
SECURE_SSL_REDIRECT = SECURE and env.bool("SSL_REDIRECT", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# -- The spec's three knobs

# Seconds a result is served from the cache to automatic triggers.
CACHE_TTL = env.int("CACHE_TTL", default=300)
# Requests that may wait, over all lanes; the next one is refused.
MAX_QUEUE_SIZE = env.int("MAX_QUEUE_SIZE", default=100)
# Least seconds between two automatic optimisations of one portfolio.
OPTIMIZATION_INTERVAL = env.float("OPTIMIZATION_INTERVAL", default=60.0)

# -- Limits; each refusal names the one it met

# Quotes may move this far (relative) before a cached result is stale.
CACHE_PRICE_TOLERANCE = env.float("CACHE_PRICE_TOLERANCE", default=0.001)
# Symbols in one request.
MAX_SYMBOLS = env.int("MAX_SYMBOLS", default=1000)
# Largest WebSocket message, in bytes; a larger one is answered with an error.
MAX_MESSAGE_BYTES = env.int("MAX_MESSAGE_BYTES", default=262_144)
# WebSocket messages of one connection per second, over ten seconds.
MAX_MESSAGES_PER_SECOND = env.int("MAX_MESSAGES_PER_SECOND", default=200)
# Connections of one user (in local mode: of everybody).
MAX_CONNECTIONS_PER_USER = env.int(
    "MAX_CONNECTIONS_PER_USER", default=20 if not LOCAL_MODE else 20_000
)
# Connections of one address that have not signed in yet, over all web processes.
MAX_STRANGERS_PER_ADDRESS = env.int("MAX_STRANGERS_PER_ADDRESS", default=50)
# REST requests of one user (or address) per second, over ten seconds.
MAX_REST_REQUESTS_PER_SECOND = env.int("MAX_REST_REQUESTS_PER_SECOND", default=100)
# Addresses or networks of reverse proxies whose X-Forwarded-For is believed, comma-separated.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
# Bytes that may wait for one client that reads slowly; then it is disconnected.
MAX_OUTBOX_BYTES = env.int("MAX_OUTBOX_BYTES", default=2_097_152)

# -- Running

# Daily returns in the window of a request that names no lookback: three years, because a mean
# over one is mostly noise (over the sample's last one, no symbol of the spec's example gained).
DEFAULT_LOOKBACK = env.int("DEFAULT_LOOKBACK", default=756)
# Seconds a worker may hold a request before another one takes it over.
LEASE_SECONDS = env.float("LEASE_SECONDS", default=5.0)
# Seconds after which a solve is ended by force, per lane.
HARD_TIME_LIMITS = {
    "convex": env.int("CONVEX_TIME_LIMIT", default=60),
    "heuristic": env.int("HEURISTIC_TIME_LIMIT", default=120),
    "quantum": env.int("QUANTUM_TIME_LIMIT", default=300),
}
# Processes of each lane's worker.
WORKER_CONCURRENCY = {
    "convex": env.int("CONVEX_CONCURRENCY", default=1),
    "heuristic": env.int("HEURISTIC_CONCURRENCY", default=1),
    "quantum": env.int("QUANTUM_CONCURRENCY", default=1),
}
# Seconds that a frontier's remaining points must be worth before other workers share them.
FRONTIER_SPLIT_SECONDS = env.float("FRONTIER_SPLIT_SECONDS", default=1.0)
# Feed that `manage.py serve` runs: simulated, replay, alpaca, coinbase or none.
FEED = env.str("FEED", default="simulated")
# Symbols of the feed, comma-separated; unset: all that are loaded (coinbase needs some).
FEED_SYMBOLS = env.list("FEED_SYMBOLS", default=[])
# Batches of quotes a second of the simulated feed; days a second of the replay.
FEED_RATE = env.float("FEED_RATE", default=1.0)
# Keys and stream of the alpaca feed.
ALPACA_KEY_ID = env.str("ALPACA_KEY_ID", default="")
ALPACA_SECRET_KEY = env.str("ALPACA_SECRET_KEY", default="")
ALPACA_URL = env.str("ALPACA_URL", default="wss://stream.data.alpaca.markets/v2/iex")
# Stream of the coinbase feed.
COINBASE_URL = env.str("COINBASE_URL", default="wss://ws-feed.exchange.coinbase.com")
# Seconds without a tick after which the feed counts as stale.
FEED_STALE_SECONDS = env.float("FEED_STALE_SECONDS", default=10.0)
# Refused ticks kept for the admin.
QUARANTINE_KEEP = env.int("QUARANTINE_KEEP", default=10_000)
# Frames kept per topic for clients that resume.
TOPIC_HISTORY = env.int("TOPIC_HISTORY", default=1000)
# Minimum level of the logs.
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
# What a log's line is: text to read (line), or a JSON object to gather (json; the default unless in
# local mode).
LOG_FORMAT = env.str("LOG_FORMAT", default="line" if LOCAL_MODE else "json")
# Where an OpenTelemetry collector takes traces, as http://localhost:4318/v1/traces; unset: none are
# made. Needs requirements-extra.in.
TRACES_URL = env.str("TRACES_URL", default="")

# -- Django

ROOT_URLCONF = "quantumedge.urls"
ASGI_APPLICATION = "quantumedge.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"

INSTALLED_APPS = [
    "quantumedge",
    "streaming",
    "optimization",
    "marketdata",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "csp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# postgres://… or unset for SQLite in DATA_DIR.
DATABASES = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'quantumedge.sqlite3'}")
}
check_database(DATABASES["default"], "DATABASE_URL")
# Seconds that a serving process waits for one database statement; 0 without end.
DATABASE_TIMEOUT = env.float("DATABASE_TIMEOUT", default=5.0)
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": DATABASE_TIMEOUT or 3600.0,
        # A checkpoint makes whichever request it falls into wait for the disk: every 16 MB, not 4.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        " PRAGMA wal_autocheckpoint=4000;",
    }
else:
    DATABASES["default"]["ENGINE"] = "quantumedge.postgresql"
    DATABASES["default"]["OPTIONS"] = {"patience": DATABASE_TIMEOUT if serves(sys.argv) else 0.0}
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = None

CACHES = {
    "default": {
        "BACKEND": "marketdata.redis_cache.SharedRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": REDIS_PREFIX,
        "TIMEOUT": CACHE_TTL,
    }
}

CHANNEL_LAYER_PREFIX = f"{REDIS_PREFIX}:layer:"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py 8 times an idle socket out after 5 s, which would end every subscription.
        "CONFIG": {
            "hosts": [
                {
                    "address": REDIS_URL,
                    "socket_timeout": None,
                    "socket_connect_timeout": REDIS_TIMEOUT,
                }
            ],
            "prefix": CHANNEL_LAYER_PREFIX,
        },
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTHENTICATION_BACKENDS = ["streaming.access.login.ThrottledBackend"]
LOGIN_URL = "admin:login"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
# Where `make dashboard` leaves the built page; without it the address / says how to build it.
DASHBOARD_DIST = BASE_DIR / "streaming" / "dashboard" / "dist"
STATICFILES_DIRS = [("dashboard", DASHBOARD_DIST)] if DASHBOARD_DIST.exists() else []
# Built files carry a digest of their content in their names: browsers keep them for good.
SERVESTATIC_IMMUTABLE_FILE_TEST = r"^/static/dashboard/assets/.+-[\w-]{8}\.\w+$"
# Static files are served from where the applications keep them: nothing to collect first.
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_USE_STATIC_ROOT = False

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "streaming.rest.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["streaming.access.credentials.IsAllowed"],
    "EXCEPTION_HANDLER": "streaming.rest.errors.exception_handler",
    "UNICODE_JSON": True,
    "STRICT_JSON": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "QuantumEdge",
    "DESCRIPTION": "Real-time portfolio optimisation server.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["streaming.access.credentials.IsAllowed"],
    # pydantic's schemas are those of OpenAPI 3.1, where null is a type.
    "OAS_VERSION": "3.1.1",
}

# -- Celery

CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# What a killed pool process held is under a lease; its worker need not wait 10 s for news of it.
CELERY_WORKER_LOST_WAIT = 0.1
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
# A worker that stops lets a running solve go on for so many seconds, then hands it back.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = env.float("SOFT_SHUTDOWN_SECONDS", default=1.0)
# Closing the database after every task would cost more than most tasks do.
CELERY_DB_REUSE_MAX = 100_000
CELERY_BEAT_SCHEDULE = {
    "reconcile": {
        "task": "optimization.reconcile",
        "schedule": 5.0,
        "options": {"queue": "convex"},
    },
    "republish-missing": {
        "task": "streaming.republish_missing",
        "schedule": 5.0,
        "options": {"queue": "convex"},
    },
}
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {}
    if BROKER_URL.startswith("amqp")
    # A dead worker's token comes back soon; claiming is idempotent, so an early return is harmless.
    else {
        "visibility_timeout": 600,
        "global_keyprefix": f"{REDIS_PREFIX}:celery:",
        # Less patient than for data: a token that is lost is soon sent again.
        "health_check_interval": REDIS_TIMEOUT / 2,
        "socket_timeout": REDIS_TIMEOUT / 2,
        "socket_connect_timeout": REDIS_TIMEOUT / 2,
    }
)

LOGGING = logging_settings(LOG_FORMAT, LOG_LEVEL)

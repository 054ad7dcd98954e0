"""What libraries load where it is installed, and a web process never uses: some 40 MB.

``manage.py web`` calls :func:`lighten` before Django is set up.
"""

import ctypes
import gc
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

OPTIONAL = (
    # Twisted: TLS, which a proxy in front of this server speaks.
    "OpenSSL",
    # structlog, REST framework: tracebacks and pages in colour.
    "rich",
    "pygments",
    # Django's test client, which drf-spectacular imports: templates that nobody has here.
    "jinja2",
    # redis-py: OCSP, and channels_redis: encryption, neither of which is configured.
    "cryptography",
    # redis-py: figures that nobody gathers; our traces come from another part of that library.
    "opentelemetry.sdk.metrics",
)
"""Libraries whose users do without them when they are not installed."""

WAMP = ("autobahn.twisted.wamp", "autobahn.wamp.message", "autobahn.wamp.websocket")
"""A protocol on top of WebSockets that autobahn imports always, and nobody speaks here."""


class Unspoken(ModuleType):
    """A module that gives a class without content for every name that is imported from it."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Postponed(ModuleType):
    """A module whose only name loads the real one when it is called."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(module)

        def call(*args: Any, **kwargs: Any) -> Any:
            if sys.modules.get(module) is self:
                del sys.modules[module]
            return getattr(import_module(module), name)(*args, **kwargs)

        setattr(self, name, call)


def lighten() -> None:
    """Keep from this process what it never uses."""
    leave_out(*OPTIONAL)
    for name in WAMP:
        sys.modules.setdefault(name, Unspoken(name))
    # Django's test client, with which drf-spectacular makes requests up when it is asked for a
    # schema.
    sys.modules.setdefault(
        "rest_framework.test", Postponed("rest_framework.test", "APIRequestFactory")
    )


def give_back() -> None:
    """Return to the system what loading has left unused, where the C library can.

    What is left stays for good, and no collection looks at it again: a hundred thousand objects
    would hold up all clients for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def leave_out(*names: str) -> None:
    """Let libraries seem not to be installed, unless they are loaded already."""
    for name in names:
        # None is how Python itself marks a module that cannot be imported.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]

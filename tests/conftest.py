"""A private Valkey and a private DATA_DIR, in place before Django reads its settings.

pytest-django would load the settings before any conftest runs if pyproject.toml named them, so they
are named here instead.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from redis import Redis

from tests.valkey import start_valkey

# Below /tmp and short: a unix socket's path may have about 107 bytes.
_FOLDER = Path(tempfile.mkdtemp(prefix="qe-", dir="/tmp"))
_SOCKET = _FOLDER / "valkey.sock"


_VALKEY = start_valkey(_FOLDER)
os.environ["DATA_DIR"] = str(_FOLDER)
os.environ["REDIS_URL"] = f"unix://{_SOCKET}"
os.environ["BROKER_URL"] = f"redis+socket://{_SOCKET}"
os.environ["DJANGO_SETTINGS_MODULE"] = "quantumedge.settings"
django.setup()


def pytest_unconfigure() -> None:
    """Stop Valkey and remove its folder."""
    _VALKEY.terminate()
    _VALKEY.wait()
    assert _VALKEY.stdout is not None
    _VALKEY.stdout.close()
    shutil.rmtree(_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Address of the private Valkey; the settings already point to it."""
    return f"unix://{_SOCKET}"


@pytest.fixture
def redis_server(redis_url: str) -> Iterator[Redis]:
    """A client of the private Valkey, which is empty before and after the test."""
    client = Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

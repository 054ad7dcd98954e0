"""A private Valkey and a private DATA_DIR, in place before Django reads its settings.

pytest-django would load the settings before any conftest runs if pyproject.toml named them, so they
are named here instead.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import django
import hypothesis
import pytest
from django.db import connections
from pytest_django.fixtures import Settings
from redis import Redis

from tests import services
from tests.valkey import start_valkey, stopping

if TYPE_CHECKING:
    from marketdata.models import DataVersion
    from marketdata.services import History

# Below /tmp and short: a unix socket's path may have about 107 bytes.
_FOLDER = Path(tempfile.mkdtemp(prefix="qe-", dir="/tmp"))
_SOCKET = _FOLDER / "valkey.sock"


if services.WANTED:
    _stop_services = services.services().stop
    os.environ.update(services.services().environment("pytest"), REDIS_PREFIX="qe")
else:
    _stop_services = stopping(start_valkey(_FOLDER))
    os.environ["REDIS_URL"] = f"unix://{_SOCKET}"
    os.environ["BROKER_URL"] = f"redis+socket://{_SOCKET}"
os.environ["DATA_DIR"] = str(_FOLDER)
os.environ["DJANGO_SETTINGS_MODULE"] = "quantumedge.settings"
django.setup()

# A file, because threads that share SQLite's in-memory database lock each other out.
_DATABASE = connections.databases["default"]
if _DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    _DATABASE["TEST"]["NAME"] = str(_FOLDER / "test.sqlite3")


# A slow machine is no defect, and what CI runs must be what it ran before.
hypothesis.settings.register_profile(
    "quantumedge", deadline=None, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("quantumedge")


def _stop() -> None:
    _stop_services()
    shutil.rmtree(_FOLDER, ignore_errors=True)


# At exit and not in a hook: a conftest that fails to import ends the run before any hook.
atexit.register(_stop)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what database, Redis or broker could make a difference to.

    Fault tests bring what they break.
    """
    for item in items:
        if item.get_closest_marker("faults"):
            continue
        names = set(getattr(item, "fixturenames", ()))
        if names & {"db", "transactional_db", "redis_server", "redis_url"} or any(
            item.get_closest_marker(name) for name in ("django_db", "e2e")
        ):
            item.add_marker("services")


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """PostgreSQL drops no database that a thread is still connected to; here it goes as a whole."""
    return services.WANTED


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Address of the private Valkey; the settings already point to it."""
    return os.environ["REDIS_URL"]


@pytest.fixture(scope="session")
def redis_socket() -> str:
    """Path of the same server's unix socket, which it has over TCP, too."""
    return str(services.services().folder / "valkey.sock" if services.WANTED else _SOCKET)


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


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Runs a program in a Python of its own and returns what it printed."""

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def panels(settings: Settings, tmp_path: Path) -> Path:
    """The folder of this test's panels."""
    settings.DATA_DIR = tmp_path
    return tmp_path / "panels"


@pytest.fixture(scope="session")
def sample() -> "list[History]":
    """Every history of the sample market."""
    from marketdata.sample import sample_histories

    return sample_histories()


@pytest.fixture
def market(db: None, panels: Path, sample: "list[History]") -> "DataVersion":
    """The last 600 days of six real symbols and a simulated one, in the database and the panels."""
    from marketdata.services import histories_store

    wanted = {"AAPL", "JPM", "KO", "MSFT", "PFE", "XOM", "GOOGL"}
    histories = [
        replace(history, dates=history.dates[-600:], closes=history.closes[-600:])
        for history in sample
        if history.symbol in wanted
    ]
    return histories_store(histories, reason="test market")

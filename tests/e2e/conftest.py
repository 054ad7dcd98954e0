"""The real server, shared by all tests that do not break it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Server, data_folder, serving


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running server on a free port with the simulated feed and its own empty folder."""
    with data_folder() as folder, serving(folder, FEED="simulated") as server:
        server.wait_ready()
        yield server


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty folder for a server that one test starts itself."""
    with data_folder() as folder:
        yield folder

"""How long the server took to serve again after each fault, told at the end of the run."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from tests.e2e.harness import EMBEDDED_VALKEY, Server, data_folder, serving
from tests.faults.cluster import Cluster, cluster

Recovering = Callable[[str], AbstractContextManager[None]]

_TIMES = pytest.StashKey[list[tuple[str, float]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TIMES] = []


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """A whole server that tests may break."""
    with data_folder() as folder:
        # What is broken here is the server's own, whatever other tests use.
        own = {"DATABASE_URL": f"sqlite:///{folder}/quantumedge.sqlite3", **EMBEDDED_VALKEY}
        with serving(folder, FEED="simulated", **own) as server:
            server.wait_ready()
            yield server


@pytest.fixture(scope="package")
def made() -> Iterator[Cluster]:
    """A server with a proxy in each line."""
    with ExitStack() as stack:
        ports = []
        for _ in range(2):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        stack.pop_all().close()
        made = stack.enter_context(cluster(*ports))
        yield made


@pytest.fixture
def recovering(pytestconfig: pytest.Config) -> Recovering:
    """Takes the time of a block that begins with the fault's end and ends with a new result."""

    @contextmanager
    def measure(fault: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        pytestconfig.stash[_TIMES].append((fault, time.monotonic() - began))

    return measure


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    times = config.stash[_TIMES]
    if times:
        terminalreporter.section("service back after a fault")
        for fault, seconds in times:
            terminalreporter.write_line(f"{seconds:6.1f} s  {fault}")

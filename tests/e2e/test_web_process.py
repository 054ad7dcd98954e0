"""The web process stays light: no solver is ever imported there."""

import json
import re
from collections.abc import Callable

import psutil
import pytest

from tests.e2e.client import kind, optimise
from tests.e2e.harness import Server

pytestmark = pytest.mark.e2e

SOLVERS = ("cvxpy", "pennylane", "skfolio", "clarabel", "highspy", "daqp", "sklearn", "pandas")
# What nothing in the web process needs; see quantumedge/lean.py.
UNUSED = ("OpenSSL", "cryptography", "jinja2", "pygments", "rich", "scipy")
PARTS = ("django.test", "numpy.random")
HEAVY = (*SOLVERS, *UNUSED)

PROGRAM = f"""
import gc, json, resource, sys
import quantumedge.lean
quantumedge.lean.lighten()
import django
django.setup()
from quantumedge.webserver import PacedServer
import quantumedge.asgi
from django.urls import resolve
resolve("/api/v1/streaming/status")
quantumedge.lean.give_back()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
names = {{name.partition(".")[0] for name, module in sys.modules.items() if module}}
loaded = sorted(names & set({HEAVY!r})) + [part for part in {PARTS!r} if part in sys.modules]
print(json.dumps({{"loaded": loaded, "peak": peak, "frozen": gc.get_freeze_count()}}))
"""


def test_loading_the_application_imports_no_solver_and_nothing_unused(
    run_python: Callable[[str], str],
) -> None:
    found = json.loads(run_python(PROGRAM))
    assert found["loaded"] == []
    assert found["frozen"] > 50_000
    print(f"web process after loading: {found['peak']:.0f} MB")


async def test_answering_requests_maps_no_solver_into_the_web_process(server: Server) -> None:
    async with server.connect() as socket:
        for method in ("mean_variance", "genetic_algorithm"):
            assert kind(await optimise(socket, method=method)) == "optimization_result"
    process: psutil.Process = server.child("manage.py web")
    mapped = " ".join(region.path for region in process.memory_maps())
    libraries = set(re.findall(r"site-packages/(\w+)", mapped))
    assert not libraries & set(HEAVY)
    print(f"web process: {process.memory_info().rss / 1e6:.0f} MB")


async def test_the_schema_is_made_by_what_the_web_process_loads_for_it_alone(
    server: Server,
) -> None:
    assert b"/api/v1/streaming/status" in server.get("/api/v1/schema/")

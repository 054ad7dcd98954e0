"""``manage.py serve``: it starts, says so, survives its children's deaths, and stops."""

import asyncio
import json
import re
from pathlib import Path

import psutil
import pytest

from quantumedge.first_optimisation import OptimisationRefusedError, Outcome, optimise
from tests import services
from tests.e2e.harness import PATIENCE, Server, command_line, gone, serving, wait_until

pytestmark = pytest.mark.e2e


def test_the_ready_line_shows_weights_that_sum_to_one_and_labels_simulated_prices(
    server: Server,
) -> None:
    line = server.wait_ready()
    weights = dict(re.findall(r"(AAPL|GOOGL|MSFT) (\d+\.\d)%", line))
    assert weights.keys() == {"AAPL", "GOOGL", "MSFT"}
    assert sum(map(float, weights.values())) == pytest.approx(100, abs=0.2)
    assert re.search(r"GOOGL \d+\.\d% \(simulated prices\)", line)
    assert re.search(r"Sharpe ratio -?\d+\.\d\d", line)


def test_a_busy_port_is_one_clear_line_and_leaves_nothing(server: Server, data_dir: Path) -> None:
    port = server.address.rpartition(":")[2]
    with serving(data_dir, "--port", port) as second:
        assert second.wait() == 1
    assert second.output == (
        f"CommandError: port {port} is in use: stop the other program, or take another port"
        " (PORT=9000 make run)"
    )
    assert not (data_dir / "log").exists()


def test_a_second_server_on_the_same_folder_is_refused(server: Server) -> None:
    with serving(server.data_dir) as second:
        assert second.wait() == 1
    assert f"another server (process {server.process.pid}) runs on" in second.output
    assert len(second.lines) == 1


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CACHE_TTL": "0"}, "CACHE_TTL is 0, which is out of range. Set it from 1 to 86400"),
        ({"PORT": "http"}, "PORT is 'http', which cannot be read"),
        ({"HOST": "0.0.0.0"}, "Set LOCAL_MODE=false (sign-in required) or HOST=127.0.0.1."),
        ({"DATABASE_URL": "postgres://127.0.0.1:1/none"}, "check DATABASE_URL"),
    ],
)
def test_a_wrong_setting_is_named_with_its_mend_and_nothing_stays(
    data_dir: Path, environment: dict[str, str], words: str
) -> None:
    arguments = () if "PORT" in environment else ("--port", "0")
    with serving(data_dir, *arguments, **environment) as server:
        assert server.wait() != 0
    assert words in server.output
    assert "Traceback" not in server.output
    assert not [p for p in psutil.process_iter() if str(data_dir) in command_line(p)]


@pytest.mark.parametrize(
    "command",
    ["worker convex", "web --fd", "run_feed", *([] if services.WANTED else ["valkey-server"])],
)
async def test_a_killed_process_comes_back_and_requests_are_answered_again(
    server: Server, command: str
) -> None:
    printed = len(server.lines)
    victim = server.child(command)
    victim.kill()
    line = server.wait_for_line("was ended by SIGKILL; starting it again", after=printed)
    assert str(server.data_dir / "log") in line
    wait_until(lambda: any(command in command_line(p) for p in server.processes()))
    assert server.child(command).pid != victim.pid
    outcome = await optimise_patiently(server.ws_url)
    assert sum(outcome.weights.values()) == pytest.approx(1)


async def optimise_patiently(uri: str) -> Outcome:
    """Do what the error says while Valkey is away: retry later."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await optimise(uri)
            except OptimisationRefusedError as error:
                assert "retry later" in str(error)  # noqa: PT017


def test_ctrl_c_leaves_no_process_and_so_does_a_killed_supervisor(data_dir: Path) -> None:
    with serving(data_dir) as first:
        first.wait_ready()
        processes = first.processes()
        assert len(processes) > 6
        assert first.stop() == 0
        assert first.lines[-1].startswith("Stopped in")
        assert not gone(processes)
    with serving(data_dir, "--port", "0", "--json") as second:
        ready = json.loads(second.wait_for_line('"ready"'))
        assert ready["url"].startswith("http://127.0.0.1:")
        assert sum(ready["first_optimisation"]["weights"].values()) == pytest.approx(1)
        assert all("event" in json.loads(line) for line in second.lines)
        assert "Preparing the database" not in second.output
        processes = second.processes()
        second.process.kill()
        second.wait()
        assert not gone(processes)

"""What every command says of itself, and when what it needs is away."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    name: app
    for name, app in get_commands().items()
    if app in {"quantumedge", "streaming", "optimization", "marketdata"}
}
EACH_IN_TURN = """
import contextlib, io, json, sys
import manage

outcomes = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    code = 0
    sys.argv = ["manage.py", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            manage.main()
        except SystemExit as ended:
            code = ended.code
    if isinstance(code, str):  # Python itself prints it, and ends with 1.
        err.write(code)
        code = 1
    outcomes.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(outcomes))
"""


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def run_each(commands: list[list[str]], folder: Path, **environment: str) -> list[Outcome]:
    """Run the commands one after another, in one process for the sake of time."""
    database = {"DATABASE_URL": f"sqlite:///{folder / 'quantumedge.sqlite3'}"}
    done = subprocess.run(
        [sys.executable, "-c", EACH_IN_TURN, json.dumps(commands)],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(folder), **database, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Outcome(*outcome) for outcome in json.loads(done.stdout)]


def test_every_command_says_what_it_does() -> None:
    assert len(OURS) > 15
    for name, app in OURS.items():
        command = load_command_class(app, name)
        shown = command.create_parser("manage.py", name).format_help()
        assert command.help, name
        # Neither wraps where the other does.
        assert "".join(command.help.split()) in "".join(shown.split()), name


def test_on_a_database_that_was_never_migrated_each_ends_with_one_line(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("date,symbol,close\n2024-01-02,KO,10\n2024-01-03,KO,11\n")
    commands = [
        ["optimize", "AAPL", "KO"],
        ["compare", "AAPL", "KO"],
        ["reproduce", "opt_1"],
        ["status"],
        ["watch"],
        ["watch", "AAPL", "KO"],
        ["token", "list"],
        ["token", "create", "ann", "robot"],
        ["token", "revoke", "0" * 12],
        ["import_prices", str(prices)],
        ["load_sample_market"],
        ["rebuild_panel"],
        ["prune_requests", "--older-than", "90d"],
    ]
    for words, outcome in zip(commands, run_each(commands, tmp_path), strict=True):
        (line,) = outcome.err.strip().splitlines()
        assert outcome.code == 1, words
        assert "no such table" in line, words
        assert "manage.py doctor" in line, words
        assert outcome.out == "", words


def test_without_redis_each_that_needs_it_ends_with_one_line(tmp_path: Path) -> None:
    redis = {"REDIS_URL": "redis://127.0.0.1:1/0", "BROKER_URL": ""}
    commands = [["status"], ["post_event", "News"], ["run_feed", "simulated"]]
    _, *outcomes = run_each([["migrate", "--verbosity", "0"], *commands], tmp_path, **redis)
    for words, outcome in zip(commands, outcomes, strict=True):
        (line,) = outcome.err.strip().splitlines()
        assert outcome.code == 1, words
        assert "127.0.0.1:1" in line, words


def test_a_port_that_is_none_is_a_wrong_argument(tmp_path: Path) -> None:
    # The system would have taken it modulo 65536, and served there.
    (outcome,) = run_each([["web", "--port", "99999"]], tmp_path)
    assert outcome.code == 2
    assert "'99999' is no TCP port" in outcome.err

"""``manage.py compare``."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.usefixtures("market")

ARGUMENTS = ("AAPL", "KO", "XOM", "--lookback", "252", "--objective", "minimize_variance")
FEW = ("--methods", "mean_variance", "particle_swarm", "--parameters", '{"iterations": 30}')


def _compare(*arguments: str) -> str:
    out = io.StringIO()
    call_command("compare", *ARGUMENTS, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_no_method_beats_the_exact_one() -> None:
    outcomes: list[Any] = json.loads(_compare(*FEW, "--json"))
    assert [outcome["method"] for outcome in outcomes] == ["mean_variance", "particle_swarm"]
    exact, swarm = (o["result"]["metrics"]["expected_volatility"] for o in outcomes)
    assert exact <= swarm * (1 + 1e-9)


def test_the_table_has_a_column_per_method() -> None:
    text = _compare(*FEW)
    for word in ("particle", "variance", "AAPL", "Sharpe ratio", "Certified gap"):
        assert word in text


def test_six_methods_fit_a_terminal_of_eighty_columns() -> None:
    parameters = '{"time_limit": 0.2}'
    text = _compare("--parameters", parameters)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("annealing", "genetic", "swarm", "vqe", "qaoa"))


def test_a_method_that_cannot_says_why_and_the_others_go_on() -> None:
    arguments = ("--methods", "mean_variance", "particle_swarm", "--objective", "risk_parity")
    outcomes = json.loads(_compare(*arguments, "--json"))
    assert "result" in outcomes[0]
    assert outcomes[1]["error"]["code"] == "unsupported"


def test_without_any_result_it_fails() -> None:
    with pytest.raises(CommandError, match="no method found a result"):
        _compare(*FEW, "--max-weight", "0.1")


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "weights.png"
    _compare(*FEW, "--plot", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_says_what_to_install_before_it_solves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(CommandError, match=r"pip install -r requirements-extra\.in"):
        _compare(*FEW, "--plot", str(tmp_path / "weights.png"))

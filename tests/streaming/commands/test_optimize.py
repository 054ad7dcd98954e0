"""``manage.py optimize``."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import DataVersion
from marketdata.selectors import return_window
from optimization.engine import Constraints, Method, Objective, Problem, solve

pytestmark = pytest.mark.usefixtures("market")


def _optimize(*arguments: str) -> str:
    out = io.StringIO()
    call_command("optimize", *arguments, "--lookback", "252", stdout=out, stderr=io.StringIO())
    return out.getvalue()


def _document(*arguments: str) -> Any:
    return json.loads(_optimize(*arguments, "--json"))


def test_its_weights_are_the_engines(market: DataVersion) -> None:
    document = _document("AAPL", "KO", "MSFT", "--objective", "minimize_variance")
    window = return_window(["AAPL", "KO", "MSFT"], 252)
    problem = Problem(
        returns=window.returns, symbols=window.symbols, objective=Objective.MINIMIZE_VARIANCE
    )
    expected = solve(problem, method=Method.MEAN_VARIANCE).weights
    assert list(document["weights"].values()) == pytest.approx(expected.tolist(), abs=1e-12)
    assert document["metadata"]["data_version"] == market.name


def test_arguments_become_constraints_and_parameters() -> None:
    document = _document(
        *("AAPL", "KO", "MSFT", "--objective", "minimize_variance", "--max-weight", "0.4"),
        *("--allow-cash", "--constraints", '{"cvar_confidence": 0.1}', "--risk-free-rate", "0.01"),
        *("--parameters", '{"covariance": "ledoit_wolf"}', "--seed", "3"),
    )
    constraints, metadata = document["metadata"]["constraints"], document["metadata"]
    assert constraints["max_weight"] == 0.4
    assert constraints["sum_to_one"] is False
    assert constraints["cvar_confidence"] == 0.1
    assert max(document["weights"].values()) <= 0.4 + 1e-9
    assert metadata["parameters"]["risk_free_rate"] == 0.01
    assert (metadata["covariance"], metadata["seed"]) == ("ledoit_wolf", 3)


def test_the_table_shows_weights_metrics_and_evidence(market: DataVersion) -> None:
    text = _optimize("AAPL", "GOOGL", "--objective", "minimize_variance")
    for word in ("AAPL", " %", "Sharpe ratio", "Certified gap", market.name):
        assert word in text
    assert "Simulated prices: GOOGL" in text


def test_a_heuristic_gives_the_same_weights_for_the_same_seed() -> None:
    arguments = ("AAPL", "KO", "XOM", "--method", "particle_swarm", "--seed", "5")
    first = _document(*arguments, "--parameters", '{"iterations": 20}')
    assert (
        _document(*arguments, "--parameters", '{"iterations": 20}')["weights"] == first["weights"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("NOPE",), "no prices of 'NOPE'"),
        (("AAPL", "KO", "--max-weight", "0.1"), "constraints.max_weight"),
        (("AAPL", "--constraints", '{"colour": 1}'), "constraints.colour is not a known"),
        (("AAPL", "--parameters", '{"colour": 1}'), "parameters.colour is not a known"),
        (("AAPL", "--min-weight", "0.5", "--max-weight", "0.2"), "min_weight 0.5 is greater"),
    ],
)
def test_a_refusal_names_the_field(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        _optimize(*arguments)


def test_wrong_arguments_are_usage_errors() -> None:
    with pytest.raises(CommandError, match="not a JSON object"):
        _optimize("AAPL", "--constraints", "[1]")
    with pytest.raises(CommandError, match="invalid choice"):
        _optimize("AAPL", "--method", "magic")


def test_constraints_are_read_from_a_file(tmp_path: Any) -> None:
    path = tmp_path / "constraints.json"
    path.write_text('{"max_weight": 0.5}')
    document = _document(
        "AAPL", "KO", "--objective", "minimize_variance", "--constraints", f"@{path}"
    )
    assert document["weights"] == pytest.approx({"AAPL": 0.5, "KO": 0.5})
    assert Constraints(max_weight=0.5).upper == document["metadata"]["constraints"]["max_weight"]

"""What ``serve`` says, to operators and to programs."""

import io
import json
import os

import pytest

from quantumedge.announcing import ForOperators, ForPrograms, Ready
from quantumedge.first_optimisation import Outcome

OUTCOME = Outcome({"AAPL": 0.75, "GOOGL": 0.25}, 0.67, frozenset({"GOOGL"}))
URL = "http://127.0.0.1:8000/"


def test_an_operator_reads_the_address_and_the_first_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = ForOperators()
    told.say("web 1 died [9]")
    told.ready(Ready(URL, 4.21, OUTCOME))
    assert capsys.readouterr().out.splitlines() == [
        "web 1 died [9]",
        (
            "Ready in 4.2 s: http://127.0.0.1:8000/ · first optimisation: AAPL 75.0%, GOOGL 25.0%"
            " (simulated prices); Sharpe ratio 0.67 · Ctrl-C stops"
        ),
    ]


def test_a_program_reads_one_document_a_line() -> None:
    out = io.StringIO()
    told = ForPrograms(out)
    with told.waiting("Starting"):
        told.say("web 1 died [9]")
    told.ready(Ready(URL, 4.21, OUTCOME))
    told.ready(Ready(URL, 4.21, "sign-in required"))
    waiting, died, ready, guarded = map(json.loads, out.getvalue().splitlines())
    assert waiting == {"event": "said", "detail": "Starting"}
    assert died == {"event": "said", "detail": "web 1 died [9]"}
    assert ready["first_optimisation"] == {
        "weights": {"AAPL": 0.75, "GOOGL": 0.25},
        "sharpe_ratio": 0.67,
        "simulated": ["GOOGL"],
    }
    assert (ready["event"], ready["url"], ready["seconds"]) == ("ready", URL, 4.21)
    assert guarded["first_optimisation"] is None
    assert guarded["detail"] == "sign-in required"


def test_a_reader_who_leaves_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8", buffering=1) as out:
        told = ForPrograms(out)
        told.say("first")
        told.say("second")

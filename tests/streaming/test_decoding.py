"""Every line of bad input: the sentence, the code, the fields, and nothing but a ``FrameError``."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optimization.engine.problem import Method, Objective
from optimization.models import Trigger
from streaming.decoding import FrameError, Message, decode
from streaming.protocol import (
    SENTENCES,
    ClientMessage,
    ErrorCode,
    HeartbeatData,
    OptimizationRequestData,
)

INVALID = "Invalid optimization request"


def request_text(**changes: Any) -> str:
    data = {"symbols": ["AAPL", "MSFT"], "objective": "maximize_sharpe", **changes}
    return json.dumps({"type": "optimization_request", "data": data, "request_id": "mine"})


def constrained(**constraints: Any) -> str:
    return request_text(constraints=constraints)


def refused(text: str | None) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(text)
    return caught.value


def outcome_of(text: str) -> Message | FrameError:
    """What decoding ends in; any other exception fails the test."""
    try:
        return decode(text)
    except FrameError as error:
        return error


def test_the_request_of_the_specification_is_understood() -> None:
    text = """{
        "type": "optimization_request",
        "data": {
            "symbols": ["AAPL", "GOOGL", "MSFT", "AMZN", "META"],
            "objective": "maximize_sharpe",
            "constraints": {
                "long_only": true, "sum_to_one": true, "min_weight": 0.0, "max_weight": 0.4
            },
            "method": "mean_variance",
            "trigger": "manual",
            "metadata": {"portfolio_name": "Tech Portfolio", "request_source": "dashboard"}
        },
        "timestamp": 1704110400.0
    }"""
    message = decode(text)
    assert message.type is ClientMessage.OPTIMIZATION_REQUEST
    assert message.echo is None
    data = message.data
    assert isinstance(data, OptimizationRequestData)
    assert data.symbols == ["AAPL", "GOOGL", "MSFT", "AMZN", "META"]
    assert data.objective is Objective.MAXIMIZE_SHARPE
    assert data.method is Method.MEAN_VARIANCE
    assert data.trigger is Trigger.MANUAL
    assert data.constraints.max_weight == 0.4
    assert data.metadata["portfolio_name"] == "Tech Portfolio"


def test_everything_but_the_symbols_has_a_default() -> None:
    data = decode('{"type":"optimization_request","data":{"symbols":["AAPL"]}}').data
    assert isinstance(data, OptimizationRequestData)
    assert (data.objective, data.method, data.trigger) == (
        Objective.MAXIMIZE_SHARPE,
        Method.MEAN_VARIANCE,
        Trigger.MANUAL,
    )
    assert data.constraints.long_only
    assert data.constraints.sum_to_one


@pytest.mark.parametrize("trigger", Trigger.values)
def test_every_trigger_is_accepted(trigger: str) -> None:
    data = decode(request_text(trigger=trigger)).data
    assert isinstance(data, OptimizationRequestData)
    assert data.trigger == trigger


def test_unknown_keys_of_the_envelope_are_ignored() -> None:
    message = decode('{"type":"heartbeat","data":{"status":"alive"},"colour":"red"}')
    assert isinstance(message.data, HeartbeatData)


def test_a_heartbeat_needs_no_data_and_may_carry_more() -> None:
    assert isinstance(decode('{"type":"heartbeat"}').data, HeartbeatData)
    assert isinstance(decode('{"type":"heartbeat","data":{"n":1}}').data, HeartbeatData)


@pytest.mark.parametrize(
    ("text", "code", "fields"),
    [
        pytest.param("hello", ErrorCode.INVALID_MESSAGE, (), id="not JSON"),
        pytest.param("", ErrorCode.INVALID_MESSAGE, (), id="empty"),
        pytest.param('{"type": "heartbeat"', ErrorCode.INVALID_MESSAGE, (), id="cut short"),
        pytest.param("[]", ErrorCode.INVALID_MESSAGE, (), id="array"),
        pytest.param('[{"type":"heartbeat"}]', ErrorCode.INVALID_MESSAGE, (), id="array of frames"),
        pytest.param("42", ErrorCode.INVALID_MESSAGE, (), id="number"),
        pytest.param("null", ErrorCode.INVALID_MESSAGE, (), id="null"),
        pytest.param(None, ErrorCode.INVALID_MESSAGE, (), id="binary"),
        pytest.param("[" * 5000 + "]" * 5000, ErrorCode.INVALID_MESSAGE, (), id="deeply nested"),
        pytest.param('{"type":"x","n":NaN}', ErrorCode.INVALID_MESSAGE, (), id="NaN outside data"),
        pytest.param("{}", ErrorCode.UNKNOWN_TYPE, ("type",), id="no type"),
        pytest.param('{"type":"launch"}', ErrorCode.UNKNOWN_TYPE, ("type",), id="unknown type"),
        pytest.param('{"type":7}', ErrorCode.UNKNOWN_TYPE, ("type",), id="type is a number"),
        pytest.param('{"type":["a"]}', ErrorCode.UNKNOWN_TYPE, ("type",), id="type is a list"),
        pytest.param('{"type":"receive"}', ErrorCode.UNKNOWN_TYPE, ("type",), id="method name"),
        pytest.param(
            '{"type":"subscribe"}', ErrorCode.INVALID_MESSAGE, ("data",), id="no data to subscribe"
        ),
        pytest.param(
            '{"type":"subscribe","data":{}}', ErrorCode.INVALID_MESSAGE, ("topic",), id="no topic"
        ),
        pytest.param(
            '{"type":"heartbeat","request_id":5}',
            ErrorCode.INVALID_MESSAGE,
            ("request_id",),
            id="request_id is a number",
        ),
        pytest.param(
            json.dumps({"type": "heartbeat", "request_id": "x" * 101}),
            ErrorCode.INVALID_MESSAGE,
            ("request_id",),
            id="request_id too long",
        ),
        pytest.param(
            '{"type":"optimization_cancel","data":{"request_id":""}}',
            ErrorCode.INVALID_MESSAGE,
            ("request_id",),
            id="empty id to cancel",
        ),
        pytest.param(
            '{"type":"resume","data":{"epoch":"e","seq":-1,"client_id":"c"}}',
            ErrorCode.INVALID_MESSAGE,
            ("seq",),
            id="negative seq",
        ),
    ],
)
def test_a_frame_that_is_no_message_is_refused(
    text: str | None, code: ErrorCode, fields: tuple[str, ...]
) -> None:
    error = refused(text)
    assert (error.code, error.fields) == (code, fields)
    assert error.detail


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param('{"type":"optimization_request"}', ("data",), id="data is missing"),
        pytest.param('{"type":"optimization_request","data":[]}', ("data",), id="data is a list"),
        pytest.param('{"type":"optimization_request","data":{}}', ("symbols",), id="no symbols"),
        pytest.param(request_text(symbols=[]), ("symbols",), id="empty symbols"),
        pytest.param(request_text(symbols="AAPL"), ("symbols",), id="symbols is a string"),
        pytest.param(request_text(symbols=["AAPL", 5]), ("symbols[1]",), id="symbol is a number"),
        pytest.param(request_text(symbols=["AAPL", ""]), ("symbols[1]",), id="empty symbol"),
        pytest.param(request_text(symbols=["a b"]), ("symbols[0]",), id="symbol with a space"),
        pytest.param(request_text(symbols=["AAPL\n"]), ("symbols[0]",), id="symbol with newline"),
        pytest.param(
            request_text(symbols=["AAPL", "KO", "AAPL"]),
            ("symbols[0]", "symbols[2]"),
            id="duplicate symbols",
        ),
        pytest.param(
            request_text(symbols=[f"S{i}" for i in range(5000)]), ("symbols",), id="5,000 symbols"
        ),
        pytest.param(request_text(objective="get_rich"), ("objective",), id="unknown objective"),
        pytest.param(request_text(method="magic"), ("method",), id="unknown method"),
        pytest.param(request_text(trigger="whim"), ("trigger",), id="unknown trigger"),
        pytest.param(request_text(metadata=[1]), ("metadata",), id="metadata is a list"),
        pytest.param(request_text(metadata="x"), ("metadata",), id="metadata is a string"),
        pytest.param(request_text(colour="red"), ("colour",), id="extra field"),
        pytest.param(constrained(colour=1), ("constraints.colour",), id="extra constraint"),
        pytest.param(
            request_text(parameters={"colour": 1}), ("parameters.colour",), id="extra parameter"
        ),
        pytest.param(
            constrained(max_weight="0.4"), ("constraints.max_weight",), id="number as a string"
        ),
        pytest.param(
            constrained(long_only="yes"), ("constraints.long_only",), id="boolean as a string"
        ),
        pytest.param(request_text(constraints=[]), ("constraints",), id="constraints is a list"),
        pytest.param(
            request_text(parameters={"lookback": 1}), ("parameters.lookback",), id="short lookback"
        ),
        pytest.param(
            request_text(parameters={"lookback": 2.5}), ("parameters.lookback",), id="half a day"
        ),
    ],
)
def test_a_malformed_request_is_refused_with_its_fields(text: str, fields: tuple[str, ...]) -> None:
    error = refused(text)
    assert SENTENCES[error.code] == INVALID
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.fields == fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param(
            constrained(min_weight=0.6, max_weight=0.5),
            ("constraints.min_weight", "constraints.max_weight"),
            id="min_weight > max_weight",
        ),
        pytest.param(
            constrained(cvar_confidence=0.5), ("constraints.cvar_confidence",), id="cvar too large"
        ),
        pytest.param(
            constrained(cvar_confidence=0.009),
            ("constraints.cvar_confidence",),
            id="cvar too small",
        ),
        pytest.param(constrained(max_weight=2), ("constraints.max_weight",), id="weight above 1"),
        pytest.param(
            constrained(min_weight=-0.5),
            ("constraints.min_weight", "constraints.long_only"),
            id="negative weight of a long-only portfolio",
        ),
    ],
)
def test_constraints_that_no_portfolio_could_meet_are_refused_with_both_fields(
    text: str, fields: tuple[str, ...]
) -> None:
    error = refused(text)
    assert SENTENCES[error.code] == INVALID
    assert error.fields == fields


@pytest.mark.parametrize("confidence", [0.01, 0.05, 0.1])
def test_the_whole_range_of_cvar_confidence_is_accepted(confidence: float) -> None:
    data = decode(constrained(cvar_confidence=confidence)).data
    assert isinstance(data, OptimizationRequestData)
    assert data.constraints.cvar_confidence == confidence


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
@pytest.mark.parametrize(
    "place",
    [
        '"constraints":{"max_weight":%s}',
        '"metadata":{"deep":[{"er":%s}]}',
        '"parameters":{"risk_aversion":%s}',
    ],
)
def test_no_number_without_a_value_gets_in(number: str, place: str) -> None:
    data = '{"symbols":["AAPL"],' + place % number + "}"
    error = refused('{"type":"optimization_request","data":' + data + "}")
    assert SENTENCES[error.code] in {"Invalid message", INVALID}


def test_the_word_infinity_is_no_number() -> None:
    data = decode(request_text(metadata={"Infinity": "Infinity NaN"})).data
    assert isinstance(data, OptimizationRequestData)
    assert data.metadata == {"Infinity": "Infinity NaN"}


def test_a_message_of_two_megabytes_is_refused_with_both_sizes() -> None:
    error = refused(request_text(metadata={"note": "x" * 2_000_000}))
    assert error.code is ErrorCode.MESSAGE_TOO_LARGE
    assert "262144" in error.detail
    assert "20001" in error.detail


def test_the_size_counts_bytes_and_not_characters() -> None:
    text = json.dumps({"type": "heartbeat", "note": "ü" * 140_000}, ensure_ascii=False)
    assert len(text) < 262_144
    assert refused(text).code is ErrorCode.MESSAGE_TOO_LARGE


def test_an_error_names_every_fault_at_once() -> None:
    error = refused(request_text(objective="x", method="y", symbols=[]))
    assert error.fields == ("symbols", "objective", "method")


def test_an_error_keeps_the_clients_own_request_id() -> None:
    assert refused(request_text(symbols=[])).echo == "mine"
    assert refused(constrained(cvar_confidence=3.0)).echo == "mine"
    assert refused('{"type":"x","request_id":"mine"}').echo == "mine"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "symbols",
        "objective",
        "constraints",
        "method",
        "trigger",
        "parameters",
        "metadata",
        "topic",
        "request_id",
        "epoch",
        "seq",
        "client_id",
        "min_weight",
        "groups",
        "asset_bounds",
    ]
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*ClientMessage, "nonsense"]) | JSON_VALUES,
        "data": st.dictionaries(NAMES, JSON_VALUES, max_size=6) | JSON_VALUES,
        "request_id": JSON_VALUES,
    },
)


@given(st.text() | ENVELOPES.map(json.dumps) | JSON_VALUES.map(json.dumps))
@example('{"type":"optimization_request","data":{"symbols":["A"],"constraints":{"groups":[{}]}}}')
@example('{"type":"subscribe","data":{"topic":"\\u0000"}}')
def test_whatever_is_sent_gives_a_message_or_a_frame_error(text: str) -> None:
    outcome = outcome_of(text)
    if isinstance(outcome, FrameError):
        assert outcome.detail
        assert outcome.code in SENTENCES
    else:
        json.dumps(outcome.data.model_dump(mode="json"), allow_nan=False)


CONSTRAINTS = st.dictionaries(
    st.sampled_from(
        [
            "long_only",
            "sum_to_one",
            "min_weight",
            "max_weight",
            "cvar_confidence",
            "asset_bounds",
            "groups",
            "current_weights",
            "max_turnover",
            "transaction_costs",
            "max_assets",
        ]
    ),
    st.none()
    | st.booleans()
    | st.floats(-2, 2)
    | st.integers(-3, 3)
    | st.dictionaries(st.sampled_from(["AAPL", "MSFT", "X"]), JSON_VALUES, max_size=3)
    | st.lists(JSON_VALUES, max_size=2),
)


@given(CONSTRAINTS)
def test_whatever_constraints_are_sent_they_are_built_or_refused(
    constraints: dict[str, Any],
) -> None:
    outcome = outcome_of(constrained(**constraints))
    if isinstance(outcome, FrameError):
        assert SENTENCES[outcome.code] in {INVALID, "Invalid message"}
        assert outcome.detail

"""The wire's own consistency: each code has a sentence, each error of the layers below a code."""

import json

import pytest

from optimization.engine.errors import EngineError
from optimization.errors import RequestError
from streaming.protocol import (
    CLIENT_DATA,
    RETRYABLE,
    SENTENCES,
    ClientMessage,
    CloseCode,
    ErrorCode,
    Frame,
    HeartbeatReplyData,
    ServerMessage,
    error_frame,
    server_frame,
)


def family(root: type[Exception]) -> list[type[Exception]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in family(child))]


def test_every_code_has_a_sentence() -> None:
    assert set(SENTENCES) == set(ErrorCode)


@pytest.mark.parametrize("error", family(EngineError) + family(RequestError))
def test_every_error_of_the_layers_below_has_a_code_on_the_wire(error: type[Exception]) -> None:
    assert ErrorCode(error.code) in SENTENCES  # type: ignore[attr-defined]


def test_the_sentences_of_the_specification_are_there_word_for_word() -> None:
    assert {
        "Optimization service not available",
        "Optimization queue full",
        "Invalid optimization request",
        "Unable to retrieve market data",
    } <= set(SENTENCES.values())


@pytest.mark.parametrize("error", family(RequestError))
def test_an_error_says_the_same_about_a_retry_on_the_wire(error: type[RequestError]) -> None:
    assert (ErrorCode(error.code) in RETRYABLE) is error.retry


def test_every_client_message_has_a_shape() -> None:
    assert set(CLIENT_DATA) == set(ClientMessage)


def test_close_codes_say_by_their_range_whether_to_reconnect() -> None:
    assert all(4000 <= code < 5000 for code in CloseCode)
    reconnect = {code for code in CloseCode if code >= 4500}
    assert reconnect == {
        CloseCode.SERVER_RESTART,
        CloseCode.SLOW_CONSUMER,
        CloseCode.INTERNAL_ERROR,
    }


def test_an_error_frame_has_the_fields_of_the_specification() -> None:
    frame = error_frame(ErrorCode.QUEUE_FULL, "100 requests wait", request_id="opt_1")
    assert Frame.model_validate(frame).type is ServerMessage.ERROR
    assert frame["data"] == {
        "error": "Optimization queue full",
        "detail": "100 requests wait",
        "code": "queue_full",
        "retry": True,
        "request_id": "opt_1",
        "fields": [],
    }


def test_a_frame_echoes_the_clients_request_id_only_when_there_is_one() -> None:
    reply = HeartbeatReplyData(server_time="2024-01-01T12:00:00Z")
    assert "request_id" not in server_frame(ServerMessage.HEARTBEAT, reply)
    frame = server_frame(ServerMessage.HEARTBEAT, reply, "mine")
    assert frame["request_id"] == "mine"
    assert json.loads(json.dumps(frame))["data"]["status"] == "alive"

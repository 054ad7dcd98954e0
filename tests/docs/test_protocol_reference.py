"""Every example of docs/protocol.md is a frame of the protocol, and its tables are complete."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from streaming.decoding import decode
from streaming.protocol import (
    RETRYABLE,
    SENTENCES,
    ClientMessage,
    CloseCode,
    ErrorCode,
    Frame,
    ServerMessage,
)
from streaming.rest.errors import HTTP_STATUS
from streaming.wire_types import SERVER_DATA

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
CLIENT_PART, SERVER_PART = PAGE.split("## From the server")


def _examples(text: str) -> list[Any]:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


CLIENT_EXAMPLES, SERVER_EXAMPLES = _examples(CLIENT_PART), _examples(SERVER_PART)


def _name(frame: Any) -> str:
    return str(frame["data"].get("type", frame["type"]))


@pytest.mark.parametrize("frame", CLIENT_EXAMPLES, ids=_name)
def test_a_client_example_is_accepted(frame: Any) -> None:
    assert decode(json.dumps(frame)).type == frame["type"]


@pytest.mark.parametrize("frame", SERVER_EXAMPLES, ids=_name)
def test_a_server_example_has_the_shape_of_its_type(frame: Any) -> None:
    envelope = Frame.model_validate(frame)
    assert set(frame) <= set(Frame.model_fields)
    fitting = []
    for model in SERVER_DATA[envelope.type]:
        try:
            fitting.append(model.model_validate(frame["data"]))
        except ValidationError:
            continue
    assert len(fitting) == 1
    assert fitting[0].model_dump(mode="json", exclude_unset=True) == frame["data"]


def test_every_type_of_frame_has_an_example() -> None:
    assert {frame["type"] for frame in CLIENT_EXAMPLES} == set(ClientMessage)
    assert {frame["type"] for frame in SERVER_EXAMPLES} == set(ServerMessage)


def test_the_table_of_errors_is_the_protocols() -> None:
    rows = [
        f"| `{code}` | {SENTENCES[code]} | {HTTP_STATUS[code]} |"
        f" {'yes' if code in RETRYABLE else 'no'} |"
        for code in ErrorCode
    ]
    table = ["| Code | Sentence | HTTP | Retry |", "|---|---|---|---|", *rows]
    assert "\n".join(table) + "\n" in PAGE


def test_the_table_of_close_codes_is_the_protocols() -> None:
    rows = [f"| {code.value} | {code.name} |" for code in CloseCode]
    table = ["| Code | Why |", "|---|---|", *rows]
    assert "\n".join(table) + "\n" in PAGE

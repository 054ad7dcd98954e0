"""The AsyncAPI document says what the protocol says."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # no stubs
from referencing import Registry, Resource

from streaming.asyncapi import asyncapi_document
from streaming.protocol import (
    ClientMessage,
    ErrorCode,
    HeartbeatReplyData,
    ServerMessage,
    error_frame,
    server_frame,
)

DOCUMENT = asyncapi_document("0")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _at(pointer: str) -> Any:
    node: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def _validate(message: str, frame: Any) -> None:
    registry: Registry[Any] = Registry().with_resource("urn:wire", Resource.opaque(DOCUMENT))
    schema = {"$ref": f"urn:wire#/components/messages/{message}/payload"}
    Draft202012Validator(schema, registry=registry).validate(frame)


def test_every_reference_leads_somewhere() -> None:
    for pointer in set(_references(DOCUMENT)):
        assert _at(pointer)


def test_every_frame_of_the_protocol_is_a_message() -> None:
    messages = set(DOCUMENT["components"]["messages"])
    assert messages == {f"client.{kind}" for kind in ClientMessage} | {
        f"server.{kind}" for kind in ServerMessage
    }
    assert set(DOCUMENT["channels"]["ws"]["messages"]) == messages


def test_frames_of_the_server_satisfy_their_schemas() -> None:
    heartbeat = server_frame(ServerMessage.HEARTBEAT, HeartbeatReplyData(server_time="now"))
    _validate("server.heartbeat", heartbeat)
    _validate("server.error", error_frame(ErrorCode.QUEUE_FULL, "full"))
    with pytest.raises(ValidationError):
        _validate("server.heartbeat", error_frame(ErrorCode.QUEUE_FULL, "full"))


def test_the_specs_own_request_satisfies_its_schema() -> None:
    request = {
        "type": "optimization_request",
        "data": {
            "symbols": ["AAPL", "GOOGL"],
            "objective": "maximize_sharpe",
            "constraints": {"long_only": True, "max_weight": 0.6},
            "method": "mean_variance",
            "trigger": "manual",
        },
    }
    _validate("client.optimization_request", request)
    request["data"]["colour"] = "red"  # type: ignore[index]
    with pytest.raises(ValidationError):
        _validate("client.optimization_request", request)


def test_it_is_served(client: Client, db: None) -> None:
    answer = client.get("/asyncapi.json")
    assert answer.json()["asyncapi"] == "3.0.0"
    assert answer.json()["components"] == DOCUMENT["components"]

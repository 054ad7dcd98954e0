"""The AsyncAPI document of the wire, generated from ``streaming.protocol``."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from streaming.protocol import CLIENT_DATA, SUBPROTOCOL, CloseCode, Frame, ServerMessage
from streaming.wire_types import SERVER_DATA

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"


def asyncapi_document(version: str) -> Json:
    """The whole wire as AsyncAPI 3.0: every frame in and out with its JSON schema.

    Args:
        version: Version of the server, for the document's head.
    """
    references, definitions = _schemas()
    received = {
        f"client.{kind}": _message(kind, [references[model, "validation"]], {})
        for kind, model in CLIENT_DATA.items()
    }
    envelope = _envelope()
    sent = {
        f"server.{kind}": _message(
            kind, [references[model, "serialization"] for model in models], envelope
        )
        for kind, models in SERVER_DATA.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "QuantumEdge",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {"ws": _channel([*received, *sent])},
        "operations": {
            "receive": _operation("receive", received),
            "send": _operation("send", sent),
        },
        "components": {"messages": received | sent, "schemas": definitions},
    }


_DESCRIPTION = (
    "Frames of the WebSocket, each a JSON object {type, data}. The subprotocol"
    f" {SUBPROTOCOL} is optional. Close codes: "
    + "; ".join(f"{code.value} {code.name.lower()}" for code in CloseCode)
    + ". Below 4500 a client should not reconnect by itself."
)


def _schemas() -> tuple[Mapping[Any, Json], Json]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    wanted += [(model, "validation") for model in CLIENT_DATA.values()]
    wanted += [(model, "serialization") for models in SERVER_DATA.values() for model in models]
    references, schema = models_json_schema(
        list(dict.fromkeys(wanted)), ref_template=_SCHEMAS + "{model}"
    )
    return references, schema["$defs"]


def _envelope() -> Json:
    """What every server frame carries besides ``type`` and ``data``."""
    properties: Json = Frame.model_json_schema(mode="serialization")["properties"]
    return {name: body for name, body in properties.items() if name not in {"type", "data"}}


def _message(kind: StrEnum, data: list[Json], envelope: Json) -> Json:
    """One type of frame; several shapes of ``data`` are told apart by their own ``type``."""
    is_server = isinstance(kind, ServerMessage)
    properties = {
        "type": {"const": kind.value},
        "data": data[0] if len(data) == 1 else {"oneOf": data},
        **(envelope or _CLIENT_ENVELOPE),
    }
    required = ["type", "data", "timestamp"] if is_server else ["type"]
    return {
        "name": kind.value,
        "payload": {"type": "object", "properties": properties, "required": required},
    }


_CLIENT_ENVELOPE: Json = {
    "timestamp": {"type": "number", "description": "Epoch seconds; not looked at."},
    "request_id": {
        "type": "string",
        "minLength": 1,
        "maxLength": 100,
        "description": "The client's own name for the frame: echoed, and run only once.",
    },
}


def _channel(messages: list[str]) -> Json:
    return {
        "address": "/ws",
        "messages": {name: {"$ref": _MESSAGES + name} for name in messages},
    }


def _operation(action: str, messages: Mapping[str, Json]) -> Json:
    channel = "#/channels/ws"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
    }

"""The dashboard's TypeScript types, generated from ``streaming.protocol``."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from streaming import protocol
from streaming.protocol import ClientMessage, CloseCode, ServerMessage, Topic

WIRE_FILE = Path(__file__).resolve().parent / "dashboard" / "src" / "wire.ts"
"""Where the generated types are kept, next to the sources that import them."""

SERVER_DATA: Mapping[ServerMessage, tuple[type[BaseModel], ...]] = {
    ServerMessage.AUTH: (protocol.AuthenticatedData,),
    ServerMessage.CONNECTION_STATUS: (protocol.ConnectionStatusData,),
    ServerMessage.PORTFOLIO_UPDATE: (
        protocol.OptimizationQueuedData,
        protocol.OptimizationStartedData,
        protocol.OptimizationProgressData,
        protocol.OptimizationResultData,
        protocol.OptimizationCancelledData,
        protocol.FrontierPointData,
        protocol.FrontierResultData,
    ),
    ServerMessage.PRICE_UPDATE: (protocol.PriceUpdateData,),
    ServerMessage.FEED_STATUS: (protocol.FeedStatusData,),
    ServerMessage.RISK_ALERT: (protocol.RiskAlertData,),
    ServerMessage.WATCH: (protocol.WatchingData,),
    ServerMessage.UNWATCH: (protocol.UnwatchedData,),
    ServerMessage.SUBSCRIBE: (protocol.SubscriptionData,),
    ServerMessage.UNSUBSCRIBE: (protocol.SubscriptionData,),
    ServerMessage.HEARTBEAT: (protocol.HeartbeatReplyData,),
    ServerMessage.RESUME: (protocol.ResumedData,),
    ServerMessage.ERROR: (protocol.ErrorData,),
}
"""The shapes of ``data`` for each type of server frame."""

_HEADER = """\
// Generated from streaming/protocol.py by `manage.py export_wire_types`; do not edit.
"""

JsonSchema = Mapping[str, Any]


def typescript() -> str:
    """The whole module: enums, the shape of every frame, and the close codes.

    Returns:
        TypeScript source; the same protocol always gives the same text.
    """
    definitions = _definitions()
    parts = [_HEADER]
    parts += [_enum(enum.__name__, list(enum), enum.__doc__) for enum in (ClientMessage, Topic)]
    parts += [_enum("ServerMessage", list(SERVER_DATA), ServerMessage.__doc__)]
    parts += [_declaration(name, definitions[name]) for name in sorted(definitions)]
    parts += [_close_codes(), _client_frames(), _server_frames()]
    return "\n".join(parts)


def _definitions() -> JsonSchema:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    models += [(model, "validation") for model in protocol.CLIENT_DATA.values()]
    models += [(model, "serialization") for shapes in SERVER_DATA.values() for model in shapes]
    # Each once, in a fixed order.
    unique = list(dict.fromkeys(models))
    _, schema = models_json_schema(unique, ref_template="{model}")
    definitions: JsonSchema = schema["$defs"]
    return {_identifier(name): body for name, body in definitions.items()}


def _identifier(name: str) -> str:
    return re.sub(r"\W", "", name)


def _declaration(name: str, schema: JsonSchema) -> str:
    if "enum" in schema:
        return _enum(name, schema["enum"], schema.get("description"))
    if schema.get("type") != "object" or "properties" not in schema:
        return f"{_comment(schema.get('description'))}export type {name} = {_type(schema)};\n"
    required = frozenset(schema.get("required", ()))
    lines = [f"{_comment(schema.get('description'))}export interface {name} {{"]
    for field, body in schema["properties"].items():
        # A tag with a default is always sent, so that unions can be told apart by it.
        optional = "" if field in required or "const" in body else "?"
        comment = _comment(body.get("description"), "  ")
        lines.append(f"{comment}  {_key(field)}{optional}: {_type(body)};")
    if schema.get("additionalProperties") is True:
        lines.append("  [key: string]: unknown;")
    lines.append("}\n")
    return "\n".join(lines)


def _type(schema: JsonSchema) -> str:
    if "$ref" in schema:
        return _identifier(schema["$ref"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(_type(member) for member in schema[union]))
    return _typed(schema)


def _typed(schema: JsonSchema) -> str:
    match schema.get("type"):
        case "array":
            return f"Array<{_type(schema.get('items', {}))}>"
        case "object":
            values = schema.get("additionalProperties", True)
            return f"Record<string, {'unknown' if values is True else _type(values)}>"
        case "integer" | "number":
            return "number"
        case "string" | "boolean" | "null" as name:
            return str(name)
        case _:
            return "unknown"


def _enum(name: str, values: Sequence[str | StrEnum], description: str | None) -> str:
    constant = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() + "_VALUES"
    listed = "".join(f"  {json.dumps(str(value))},\n" for value in values)
    return (
        f"export const {constant} = [\n{listed}] as const;\n"
        f"{_comment(description)}export type {name} = (typeof {constant})[number];\n"
    )


def _close_codes() -> str:
    members = "".join(f"  {code.name}: {code.value},\n" for code in CloseCode)
    return f"{_comment(CloseCode.__doc__)}export const CLOSE_CODE = {{\n{members}}} as const;\n"


def _client_frames() -> str:
    members = "".join(
        f"  {_key(kind)}: {model.__name__};\n" for kind, model in protocol.CLIENT_DATA.items()
    )
    return (
        "/** The shape of `data` for each type of client frame. */\n"
        f"export interface ClientData {{\n{members}}}\n"
    )


def _server_frames() -> str:
    envelope = _declaration("Envelope", protocol.Frame.model_json_schema(mode="serialization"))
    # Type and data are stated per frame below.
    kept = [line for line in envelope.splitlines() if not re.match(r"  (type|data): ", line)]
    members = "".join(
        f"  | (Envelope & {{ type: {json.dumps(str(kind))}; data: {_union(shapes)} }})\n"
        for kind, shapes in SERVER_DATA.items()
    )
    return "\n".join(kept) + f"\n\nexport type ServerFrame =\n{members.rstrip()};\n"


def _union(shapes: Iterable[type[BaseModel]]) -> str:
    return " | ".join(shape.__name__ for shape in shapes)


def _comment(text: str | None, indent: str = "") -> str:
    """The first paragraph as a JSDoc comment, or nothing."""
    if not text:
        return ""
    first = " ".join(cleandoc(text).split("\n\n")[0].split()).replace("``", "`")
    return f"{indent}/** {first} */\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)

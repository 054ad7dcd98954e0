"""The machine-readable descriptions of REST and wire, and the page on which people read them."""

from dataclasses import dataclass
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from streaming.asyncapi import asyncapi_document
from streaming.pages import TRUSTED_TYPES
from streaming.rest.base import RestView
from streaming.rest.optimizations import errors

Json = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")


class AsyncApiView(RestView):
    """The wire for programs."""

    @extend_schema(operation_id="asyncapi", responses={200: OpenApiTypes.OBJECT, **errors()})
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Describe every WebSocket frame as AsyncAPI 3.0."""
        return Response(asyncapi_document(str(settings.SPECTACULAR_SETTINGS["VERSION"])))


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter or property.

    Attributes:
        name: Its name.
        type: Its type in words.
        reference: The schema that the type names, or an empty string.
        required: Whether it must be there.
        description: What it means.
        place: ``query``, ``header`` or ``path`` for a parameter.
    """

    name: str
    type: str
    reference: str
    required: bool
    description: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response of an operation.

    Attributes:
        status: HTTP status.
        description: When it is given.
        type: What it holds, in words.
        reference: The schema that the type names, or an empty string.
    """

    status: str
    description: str
    type: str
    reference: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    Attributes:
        method: HTTP method in capitals.
        path: Its address.
        name: Its operation id.
        description: What it does.
        parameters: What it takes in address, query and headers.
        body: Name of the schema of its body, or an empty string.
        answers: What it answers.
    """

    method: str
    path: str
    name: str
    description: str
    parameters: list[Field]
    body: str
    answers: list[Answer]


@require_safe
@csp_update(TRUSTED_TYPES)
def api_docs(request: HttpRequest) -> HttpResponse:
    """The REST API on one page, rendered here: no script, nothing from elsewhere."""
    if not settings.LOCAL_MODE and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    schema: Json = _generate()
    schemas = schema["components"]["schemas"]
    context = {
        "title": schema["info"]["title"],
        "version": schema["info"]["version"],
        "operations": operations(schema),
        "schemas": [_schema_row(name, schemas[name]) for name in sorted(schemas)],
    }
    return render(request, "streaming/api_docs.html", context)


def _generate() -> Json:
    generator: Any = SchemaGenerator
    schema: Json = generator().get_schema(request=None, public=True)
    return schema


def _schema_row(name: str, schema: Json) -> tuple[str, str, list[Field], list[str]]:
    return name, schema.get("description", ""), fields(schema), values(schema)


def operations(schema: Json) -> list[Operation]:
    """Every operation, in the order of the addresses."""
    return [
        _operation(path, method, item[method])
        for path, item in schema["paths"].items()
        for method in _METHODS
        if method in item
    ]


def _operation(path: str, method: str, operation: Json) -> Operation:
    bodies = operation.get("requestBody", {}).get("content", {})
    return Operation(
        method=method.upper(),
        path=path,
        name=operation["operationId"],
        description=operation.get("description", ""),
        parameters=[_parameter(parameter) for parameter in operation.get("parameters", ())],
        body=next((_reference(content["schema"]) for content in bodies.values()), ""),
        answers=[_answer(status, body) for status, body in operation["responses"].items()],
    )


def _parameter(parameter: Json) -> Field:
    schema = parameter["schema"]
    return Field(
        name=parameter["name"],
        type=type_text(schema),
        reference=_reference(schema),
        required=parameter.get("required", False),
        description=parameter.get("description", ""),
        place=parameter["in"],
    )


def _answer(status: str, body: Json) -> Answer:
    schema: Json = next((c["schema"] for c in body.get("content", {}).values()), {})
    return Answer(status, body.get("description", ""), type_text(schema), _reference(schema))


def fields(schema: Json) -> list[Field]:
    """The properties of an object's schema."""
    required = schema.get("required", ())
    return [
        Field(
            name=name,
            type=type_text(body),
            reference=_reference(body),
            required=name in required,
            description=body.get("description", ""),
        )
        for name, body in schema.get("properties", {}).items()
    ]


def values(schema: Json) -> list[str]:
    """The values of an enumeration."""
    return [str(value) for value in schema.get("enum", ())]


def type_text(schema: Json) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        return _reference(schema)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(type_text(member) for member in schema[union]))
    if "enum" in schema or "const" in schema:
        return " or ".join(values(schema) or [str(schema.get("const"))])
    return _plain_type(schema)


def _plain_type(schema: Json) -> str:
    kind = schema.get("type", "anything")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if text == "array":
        return f"list of {type_text(schema.get('items', {}))}"
    inner = schema.get("additionalProperties")
    if text == "object" and isinstance(inner, dict) and inner:
        return f"object of {type_text(inner)}"
    return text + _bounds(schema)


def _bounds(schema: Json) -> str:
    signs = {
        "minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<",
    }  # fmt: skip
    told = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    return f" ({', '.join(told)})" if told else ""


def _reference(schema: Json) -> str:
    """The schema that a type refers to, itself or inside."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    inner = [schema.get("items"), schema.get("additionalProperties")]
    inner += [member for union in ("anyOf", "oneOf", "allOf") for member in schema.get(union, ())]
    return next((found for s in inner if isinstance(s, dict) and (found := _reference(s))), "")

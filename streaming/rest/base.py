"""What every REST view shares: who may call it, how bodies and queries are read."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from rest_framework.exceptions import PermissionDenied, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from optimization.submissions import Owner
from streaming.access.credentials import IsAllowed, origin_is_allowed
from streaming.decoding import FrameError
from streaming.protocol import ErrorCode
from streaming.rest.throttling import RestThrottle

Query = TypeVar("Query", bound=BaseModel)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class FromOwnPage(BasePermission):
    """Refuses a change that a stranger's page asks for.

    CSRF tokens protect sessions; in local mode there is none, and a page on another origin could
    post to the loopback. Browsers name the page's origin, which must be the server's own.
    """

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002
        """Whether the request reads only, comes from a program, or from a page of ours.

        Raises:
            PermissionDenied: It does not, whoever is signed in.
        """
        origin = request.headers.get("Origin")
        if request.method in SAFE_METHODS or origin is None:
            return True
        if not origin_is_allowed(origin, request.headers.get("Host")):
            raise PermissionDenied(
                f"pages of {origin} may not change anything here; see ALLOWED_ORIGINS"
            )
        return True


class StrictJSONParser(BaseParser):
    """JSON as the wire reads it: no NaN, no duplicate encodings, bounded in size and depth."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,  # noqa: ARG002
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Read the body.

        Raises:
            FrameError: It is too large or not JSON.
            UnsupportedMediaType: It is compressed: a small body could unfold without bounds.
        """
        encoding = (parser_context or {})["request"].headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise UnsupportedMediaType(
                encoding, f"bodies in Content-Encoding {encoding} are not read; send it plain"
            )
        limit = settings.MAX_MESSAGE_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise FrameError(
                ErrorCode.MESSAGE_TOO_LARGE, f"the body has more than {limit} bytes; send less"
            )
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise FrameError(ErrorCode.INVALID_MESSAGE, f"the body is not JSON: {error}") from error


class RestView(APIView):
    """A view of the REST API."""

    parser_classes = (StrictJSONParser,)
    permission_classes = (IsAllowed, FromOwnPage)
    throttle_classes = (RestThrottle,)

    def owner(self, request: Request) -> Owner:
        """Who asks, and so whose rows may be seen."""
        return Owner.of(request.user)


class QueryModel(BaseModel):
    """Query parameters: known ones only, each checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def read_query(request: Request, model: type[Query]) -> Query:
    """The checked query parameters.

    Raises:
        FrameError: A parameter is unknown, given twice or out of range.
    """
    parameters = request.query_params
    twice = [name for name in parameters if len(parameters.getlist(name)) > 1]
    if twice:
        raise FrameError(
            ErrorCode.INVALID_REQUEST, f"{twice[0]} is given twice; give it once", twice
        )
    try:
        return model.model_validate(parameters.dict())
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        names = [str(problem["loc"][0]) for problem in problems]
        sentences = [
            f"{name} is not a known parameter; remove it"
            if problem["type"] == "extra_forbidden"
            else f"{name}: {problem['msg']}"
            for name, problem in zip(names, problems, strict=True)
        ]
        raise FrameError(ErrorCode.INVALID_REQUEST, "; ".join(sentences), names) from error


def query_parameters(model: type[BaseModel]) -> list[OpenApiParameter]:
    """A query model as OpenAPI parameters."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    parameters = []
    for name, body in schema["properties"].items():
        branches = [b for b in body.get("anyOf", [body]) if b.get("type") != "null"]
        inlined = [
            definitions[b["$ref"].rpartition("/")[2]] if "$ref" in b else b for b in branches
        ]
        kind = {k: v for k, v in inlined[0].items() if k not in {"title", "description", "default"}}
        if body.get("default") is not None:
            kind["default"] = body["default"]
        parameters.append(
            OpenApiParameter(
                name,
                kind,
                required=name in schema.get("required", ()),
                description=body.get("description", ""),
            )
        )
    return parameters


def body_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object.

    Raises:
        FrameError: It is something else.
    """
    if not isinstance(request.data, dict):
        raise FrameError(ErrorCode.INVALID_MESSAGE, "the body must be a JSON object")
    return request.data


def document_response(document: BaseModel, status: int = 200, **headers: str) -> Response:
    """A pydantic document as the answer."""
    return Response(document.model_dump(mode="json"), status=status, headers=headers)

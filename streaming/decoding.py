"""From the text of a client's frame to a checked message, or to an error with the mend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from optimization.engine.errors import EngineError
from optimization.errors import RequestError
from streaming.protocol import (
    CLIENT_DATA,
    ClientMessage,
    ErrorCode,
    FrontierRequestData,
    OptimizationRequestData,
    WatchData,
)

MAX_REQUEST_ID = 100

STATES_A_PROBLEM = frozenset(
    {
        ClientMessage.OPTIMIZATION_REQUEST,
        ClientMessage.FRONTIER_REQUEST,
        ClientMessage.WATCH,
    }
)


class FrameError(Exception):
    """A frame that cannot be accepted.

    Args:
        code: Why.
        detail: One sentence with the mend.
        fields: Paths inside ``data`` at fault.
        echo: The client's own request id, when one could be read.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        fields: Sequence[str] = (),
        echo: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.fields = tuple(fields)
        self.echo = echo


@dataclass(frozen=True, slots=True)
class Message:
    """A checked client frame.

    Attributes:
        type: What it asks.
        data: Its checked content.
        echo: The client's own top-level ``request_id``, or None.
    """

    type: ClientMessage
    data: BaseModel
    echo: str | None


def decode(text: str | None) -> Message:
    """Check a text frame; None stands for a binary one.

    Raises:
        FrameError: It is not a well-formed frame of a known type.
    """
    envelope = _envelope(text)
    echo = _echo(envelope)
    kind = _type(envelope, echo)
    data = envelope.get("data", {} if kind is ClientMessage.HEARTBEAT else None)
    if not isinstance(data, dict):
        detail = "data is missing" if data is None else "data must be a JSON object"
        raise FrameError(_refusal(kind), detail, ["data"], echo)
    document = _document(kind, data, echo)
    try:
        content = CLIENT_DATA[kind].model_validate_json(document, strict=True)
    except (EngineError, RequestError) as error:
        raise FrameError(ErrorCode(error.code), error.message, error.fields, echo) from error
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        paths = [_path(problem["loc"]) for problem in problems]
        sentences = [
            _sentence(problem, path) for problem, path in zip(problems, paths, strict=True)
        ]
        raise FrameError(_refusal(kind), "; ".join(sentences), paths, echo) from error
    if isinstance(content, OptimizationRequestData | FrontierRequestData | WatchData):
        _check_symbols(content.symbols, echo)
    return Message(kind, content, echo)


def _document(kind: ClientMessage, data: Mapping[str, Any], echo: str | None) -> bytes:
    """``data`` as JSON again, without the infinities that a number like 1e400 is read as."""
    document = to_json(data)
    if b"Infinity" in document:
        try:
            from_json(document, allow_inf_nan=False)
        except ValueError as error:
            detail = "a number inside data is too large; the largest is about 1.8e308"
            raise FrameError(_refusal(kind), detail, ["data"], echo) from error
    return document


def _envelope(text: str | None) -> Mapping[str, Any]:
    if text is None:
        raise FrameError(ErrorCode.INVALID_MESSAGE, "binary frames are not understood; send text")
    size = len(text.encode())
    if size > settings.MAX_MESSAGE_BYTES:
        raise FrameError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the frame has {size} bytes; at most {settings.MAX_MESSAGE_BYTES} are accepted",
        )
    try:
        envelope = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise FrameError(ErrorCode.INVALID_MESSAGE, f"the frame is not JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise FrameError(
            ErrorCode.INVALID_MESSAGE, 'the frame must be a JSON object {"type": …, "data": {…}}'
        )
    return envelope


def _echo(envelope: Mapping[str, Any]) -> str | None:
    echo = envelope.get("request_id")
    if echo is None:
        return None
    if not isinstance(echo, str) or not 1 <= len(echo) <= MAX_REQUEST_ID:
        raise FrameError(
            ErrorCode.INVALID_MESSAGE,
            f"request_id must be a string of 1 to {MAX_REQUEST_ID} characters",
            ["request_id"],
        )
    return echo


def _type(envelope: Mapping[str, Any], echo: str | None) -> ClientMessage:
    kind: Any = envelope.get("type")
    try:
        return ClientMessage(kind)
    except ValueError as error:
        names = ", ".join(ClientMessage)
        detail = "type is missing" if kind is None else f"{str(kind)[:60]!r} is not a known type"
        raise FrameError(
            ErrorCode.UNKNOWN_TYPE, f"{detail}; known types: {names}", ["type"], echo
        ) from error


def _check_symbols(symbols: Sequence[str], echo: str | None) -> None:
    if len(symbols) > settings.MAX_SYMBOLS:
        raise FrameError(
            ErrorCode.INVALID_REQUEST,
            f"{len(symbols)} symbols; at most {settings.MAX_SYMBOLS} are accepted",
            ["symbols"],
            echo,
        )
    seen: dict[str, int] = {}
    for index, symbol in enumerate(symbols):
        if symbol in seen:
            raise FrameError(
                ErrorCode.INVALID_REQUEST,
                f"{symbol} is listed twice; name each symbol once",
                [f"symbols[{seen[symbol]}]", f"symbols[{index}]"],
                echo,
            )
        seen[symbol] = index


def _refusal(kind: ClientMessage) -> ErrorCode:
    """Whatever states a portfolio problem is refused with the spec's own sentence."""
    if kind in STATES_A_PROBLEM:
        return ErrorCode.INVALID_REQUEST
    return ErrorCode.INVALID_MESSAGE


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def _sentence(problem: ErrorDetails, path: str) -> str:
    if problem["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return f"{path} is not a known field; remove it"
    if problem["type"] == "missing":
        return f"{path} is missing"
    message = problem["msg"]
    return f"{path}: {message[:1].lower()}{message[1:]}"

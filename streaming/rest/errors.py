"""Every error of the REST API: the wire's own error document, under one table of HTTP statuses."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from optimization.errors import RequestError
from streaming.decoding import FrameError
from streaming.protocol import ErrorCode, error_frame
from streaming.rest.authentication import CHALLENGE

logger = logging.getLogger(__name__)

HTTP_STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.INVALID_MESSAGE: 400,
    ErrorCode.UNKNOWN_TYPE: 400,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INVALID_REQUEST: 422,
    ErrorCode.INVALID_PROBLEM: 422,
    ErrorCode.INFEASIBLE: 422,
    ErrorCode.NO_EXCESS_RETURN: 422,
    ErrorCode.UNBOUNDED: 422,
    ErrorCode.UNSUPPORTED: 422,
    ErrorCode.METHOD_UNAVAILABLE: 422,
    ErrorCode.MARKET_DATA_UNAVAILABLE: 422,
    ErrorCode.UNKNOWN_SYMBOL: 422,
    ErrorCode.QUEUE_FULL: 503,
    ErrorCode.SERVICE_UNAVAILABLE: 503,
    ErrorCode.IDEMPOTENCY_CONFLICT: 409,
    ErrorCode.UNKNOWN_REQUEST: 404,
    ErrorCode.UNKNOWN_PORTFOLIO: 404,
    ErrorCode.ALREADY_FINISHED: 409,
    ErrorCode.UNKNOWN_TOPIC: 404,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.SOLVER_FAILURE: 500,
    ErrorCode.TIME_LIMIT: 500,
    ErrorCode.WORKER_LOST: 500,
    ErrorCode.CANCELLED: 409,
    ErrorCode.ENGINE_ERROR: 500,
}
"""The HTTP status of each code; those of a failed run are never sent, its document has them."""

RETRY_AFTER_SECONDS = 1
"""When a refusal that a retry may mend is worth the retry."""

_FRAMEWORK_CODES: Mapping[int, ErrorCode] = {
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.UNKNOWN_REQUEST,
    429: ErrorCode.RATE_LIMITED,
}
"""Codes of Django's and DRF's own refusals; the rest are malformed messages."""


def error_document(
    code: ErrorCode, detail: str, fields: Sequence[str] = (), request_id: str | None = None
) -> dict[str, Any]:
    """The ``data`` of the wire's error frame."""
    data: dict[str, Any] = error_frame(code, detail, fields=tuple(fields), request_id=request_id)[
        "data"
    ]
    return data


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response | None:  # noqa: ARG001
    """Turn an error of a view into its answer; None for a defect of ours, which is a 500."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    set_rollback()
    if isinstance(error, RequestError):
        return _answer(ErrorCode(error.code), error.message, error.fields)
    if isinstance(error, FrameError):
        return _answer(error.code, error.detail, error.fields)
    if isinstance(error, exceptions.APIException):
        return _framework_answer(error)
    if isinstance(error, RedisError | DatabaseError):
        logger.error("a backend cannot be reached", exc_info=error)
        detail = f"the server cannot reach one of its backends ({type(error).__name__})"
        return _answer(ErrorCode.SERVICE_UNAVAILABLE, detail + "; retry later", ())
    return None


def _answer(code: ErrorCode, detail: str, fields: Sequence[str]) -> Response:
    document = error_document(code, detail, fields)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if document["retry"] else {}
    return Response(document, status=HTTP_STATUS[code], headers=headers)


def _framework_answer(error: exceptions.APIException) -> Response:
    status, headers = error.status_code, {}
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # DRF answers 403 when no authenticator has a challenge; nobody is signed in, which is 401.
        challenge = CHALLENGE
        if isinstance(error, exceptions.AuthenticationFailed):
            challenge += ', error="invalid_token"'
        status, headers = 401, {"WWW-Authenticate": challenge}
    elif isinstance(error, exceptions.Throttled):
        # Django REST framework's types do not know it.
        wait = getattr(error, "wait", None)
        headers = {"Retry-After": str(wait or RETRY_AFTER_SECONDS)}
    code = _FRAMEWORK_CODES.get(status, ErrorCode.INVALID_MESSAGE)
    return Response(error_document(code, str(error.detail)), status=status, headers=headers)

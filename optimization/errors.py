"""Why a request is refused or fails, as one tree; ``streaming.protocol`` turns them into frames."""

from collections.abc import Sequence


class RequestError(Exception):
    """A request that gets no result.

    Args:
        message: One sentence with the mend.
        fields: Paths of the request's fields at fault.
    """

    code = "invalid_request"
    retry = False

    def __init__(self, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fields = tuple(fields)


class InvalidRequestError(RequestError):
    """The request contradicts itself, the limits of the server or the data."""

    def __init__(self, message: str, fields: Sequence[str] = (), code: str | None = None) -> None:
        super().__init__(message, fields)
        self.code = code or type(self).code


class MarketDataUnavailableError(RequestError):
    """A symbol is unknown or its history is too short."""

    code = "market_data_unavailable"

    def __init__(self, message: str, fields: Sequence[str] = (), code: str | None = None) -> None:
        super().__init__(message, fields)
        self.code = code or type(self).code


class QueueFullError(RequestError):
    """The queue holds as many requests as it may; a retry later helps."""

    code = "queue_full"
    retry = True


class ServiceUnavailableError(RequestError):
    """Redis, the broker or the database cannot be reached; a retry later helps."""

    code = "service_unavailable"
    retry = True


class IdempotencyConflictError(RequestError):
    """The client's ``request_id`` was used before, for another request."""

    code = "idempotency_conflict"


class UnknownRequestError(RequestError):
    """No such request, or it belongs to somebody else."""

    code = "unknown_request"


class AlreadyFinishedError(RequestError):
    """The request has ended and can no longer be cancelled."""

    code = "already_finished"


class UnknownPortfolioError(RequestError):
    """No such portfolio, or it belongs to somebody else."""

    code = "unknown_portfolio"

"""How a client comes in: what its handshake says, and what it may do on those grounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings

from streaming.access.credentials import (
    READS_ONLY,
    Credential,
    bearer_token,
    client_address,
    origin_is_allowed,
)
from streaming.access.tokens import token_check
from streaming.decoding import FrameError, Message, decode
from streaming.executor import run_blocking
from streaming.protocol import SUBPROTOCOL, AuthData, ClientMessage, ErrorCode

AUTH_SECONDS = 5.0
"""How long a client that showed no credentials has for its first message ``auth``."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a WebSocket handshake says of its client.

    Attributes:
        origin: Origin of the page, or None for a program.
        host: Host name under which it found the server.
        address: Its address.
        token: An API token, or None.
        subprotocol: What the server answers: never the token.
        user: The session's user.
        session_key: The session.
    """

    origin: str | None
    host: str | None
    address: str
    token: str | None
    subprotocol: str | None
    user: Any
    session_key: str | None

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Self:
        """Read an ASGI scope."""
        headers = {name: value.decode("latin1") for name, value in scope["headers"]}
        offered = scope.get("subprotocols", [])
        peer = scope.get("client")
        session = scope.get("session")
        return cls(
            origin=headers.get(b"origin"),
            host=headers.get(b"host"),
            address=client_address(peer[0] if peer else None, headers.get(b"x-forwarded-for")),
            token=bearer_token(headers.get(b"authorization"), offered),
            subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None,
            user=scope.get("user"),
            session_key=session.session_key if session is not None else None,
        )

    @property
    def is_welcome(self) -> bool:
        """Whether its page and the name under which it came are the server's own."""
        return origin_is_allowed(self.origin, self.host)

    async def credential(self) -> Credential | None:
        """On what grounds it comes in; None when it has yet to say.

        A session's cookie counts for pages only, which name their origin.

        Raises:
            TokenError: Its token opens nothing.
        """
        if self.token is not None:
            return await credential_of(self.token)
        signed_in = self.user is not None and self.user.is_authenticated
        if signed_in and (self.origin is not None or settings.LOCAL_MODE):
            return Credential.of_user(self.user, self.session_key)
        return Credential.of_user(None, None) if settings.LOCAL_MODE else None


async def credential_of(token: str) -> Credential:
    """What a token allows.

    Raises:
        TokenError: Nothing.
    """
    return await run_blocking(lambda: Credential.of_token(token_check(token)))


def decode_auth(text: str | None) -> tuple[Message, str]:
    """Check the first frame of a client that showed no credentials; returns its token, too.

    Raises:
        FrameError: It is not a well-formed ``auth``.
    """
    message = decode(text)
    if not isinstance(message.data, AuthData):
        detail = f"sign in first: send auth within {AUTH_SECONDS:g} seconds"
        raise FrameError(ErrorCode.UNAUTHENTICATED, detail, (), message.echo)
    return message, message.data.token


def check_allowed(credential: Credential, message: Message) -> None:
    """Check that a client may send a message.

    Raises:
        FrameError: It may not.
    """
    if message.type is ClientMessage.AUTH:
        detail = "this connection is open already; to be somebody else, open another one"
        raise FrameError(ErrorCode.INVALID_MESSAGE, detail, (), message.echo)
    if not credential.may_trade and message.type not in READS_ONLY:
        detail = f"{message.type} needs a token with the scope 'trade'; this one has 'read'"
        raise FrameError(ErrorCode.FORBIDDEN, detail, (), message.echo)

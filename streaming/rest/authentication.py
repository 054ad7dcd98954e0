"""How programs sign in to the REST API: ``Authorization: Bearer TOKEN``."""

from django.contrib.auth.models import User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from streaming.access.tokens import TokenError, token_check
from streaming.models import ApiToken

CHALLENGE = 'Bearer realm="QuantumEdge"'


class BearerAuthentication(BaseAuthentication):
    """API tokens in the header."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's user and the token; None when the request carries none.

        Raises:
            AuthenticationFailed: The token opens nothing.
        """
        scheme, _, text = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            token = token_check(text.strip().decode("latin1"))
        except TokenError as error:
            raise AuthenticationFailed(str(error)) from error
        return token.user, token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """What a request without credentials is told (RFC 6750)."""
        return CHALLENGE


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The same for the OpenAPI document."""

    target_class = BearerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:  # noqa: ARG002
        """HTTP bearer."""
        return {"type": "http", "scheme": "bearer", "description": "An API token."}

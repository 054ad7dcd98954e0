"""``manage.py token``: make, list and revoke API tokens."""

import json
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.table import Table

from optimization.command_line import console
from optimization.presentation import NO_VALUE
from streaming.access.tokens import TokenError, TokenOrder, token_create, token_revoke
from streaming.models import ApiToken, Scope


class Command(BaseCommand):
    """Manages the keys with which programs sign in."""

    help = "Make, list and revoke API tokens, with which programs sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the three verbs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token; prints its secret this once")
        create.add_argument("user", help="name of the user whose account it opens")
        create.add_argument("name", help="what it is for")
        create.add_argument(
            "--scope",
            choices=Scope.values,
            default=Scope.READ.value,
            help="read: subscribe and read; trade: submit, cancel and watch, too (default: read)",
        )
        create.add_argument("--days", type=float, default=90.0, help="days it lives (default: 90)")
        create.add_argument("--forever", action="store_true", help="it never expires")
        create.add_argument("--json", action="store_true", help="print JSON with the secret in it")
        listing = verbs.add_parser("list", help="show every token, never its secret")
        listing.add_argument("--user", help="only this user's")
        listing.add_argument("--json", action="store_true", help="print JSON to standard output")
        revoke = verbs.add_parser("revoke", help="end a token at once")
        revoke.add_argument("prefix", help="its public prefix, as the list shows it")
        revoke.add_argument("--json", action="store_true", help="print JSON to standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do what the verb says."""
        {"create": self._create, "list": self._list, "revoke": self._revoke}[options["verb"]](
            options
        )

    def _create(self, options: dict[str, Any]) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"no user {options['user']!r}; make one: manage.py createsuperuser")
        try:
            expires = None if options["forever"] else timezone.now() + _days(options["days"])
            order = TokenOrder(user, options["name"], Scope(options["scope"]), expires)
            token, text = token_create(order)
        except TokenError as error:
            raise CommandError(str(error)) from error
        self.stderr.write("Keep it safe; it is shown only now.")
        document = {**_document(token), "token": text}
        self.stdout.write(json.dumps(document) if options["json"] else text)

    def _list(self, options: dict[str, Any]) -> None:
        rows = ApiToken.objects.select_related("user")
        if options["user"]:
            rows = rows.filter(user__username=options["user"])
        if options["json"]:
            self.stdout.write(json.dumps([_document(token) for token in rows]))
            return
        table = Table(title="API tokens", title_justify="left")
        for heading in ("Prefix", "Name", "User", "Scope", "Standing", "Expires", "Last used"):
            table.add_column(heading)
        for token in rows:
            document = _document(token)
            table.add_row(*(str(document[key] or NO_VALUE) for key in _COLUMNS))
        console(self.stdout).print(table)

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.filter(prefix=options["prefix"]).first()
        if token is None:
            raise CommandError(f"no token {options['prefix']!r}; see: manage.py token list")
        token_revoke(token)
        self.stdout.write(
            json.dumps(_document(token)) if options["json"] else f"{token} is revoked"
        )


_COLUMNS = ("prefix", "name", "user", "scope", "standing", "expires_at", "last_used_at")


def _document(token: ApiToken) -> dict[str, str | None]:
    return {
        "prefix": token.prefix,
        "name": token.name,
        "user": token.user.get_username(),
        "scope": token.scope,
        "standing": token.standing,
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
        "last_used_at": token.last_used_at.isoformat() if token.last_used_at else None,
    }


def _days(days: float) -> timedelta:
    try:
        return timedelta(days=days)
    except (OverflowError, ValueError) as error:
        raise TokenError("days is too large; use --forever") from error

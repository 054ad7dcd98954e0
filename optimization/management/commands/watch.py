"""``manage.py watch``: watch a portfolio, list those watched, or end a watch."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from optimization.engine.problem import Method, Objective
from optimization.errors import RequestError
from optimization.models import Portfolio
from optimization.submissions import LOCAL_OWNER, Owner
from optimization.watching.portfolios import (
    WatchOrder,
    portfolio_standing,
    portfolio_unwatch,
    portfolio_watch,
)
from optimization.watching.rules import RULES, PriceChangeRule, Rule


class Command(BaseCommand):
    """Watch portfolios from the terminal."""

    help = "Watch a portfolio: symbols, an objective and what makes it be optimised again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """What to watch, or what to do with what is watched."""
        parser.add_argument("symbols", nargs="*", help="left out: list the watched portfolios")
        parser.add_argument("--name", default="Portfolio")
        parser.add_argument("--objective", choices=list(Objective), default="maximize_sharpe")
        parser.add_argument("--method", choices=list(Method), default="mean_variance")
        parser.add_argument(
            "--trigger",
            action="append",
            default=[],
            metavar="JSON",
            help='e.g. \'{"kind": "price_change", "threshold": 0.02}\'; may be repeated',
        )
        parser.add_argument("--user", help="whose portfolio it is (left out: local mode's)")
        parser.add_argument("--end", metavar="PORTFOLIO_ID", help="watch this one no longer")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Begin, end or list."""
        owner = _owner(options["user"])
        try:
            if options["end"]:
                rows = [portfolio_unwatch(owner, options["end"])]
            elif options["symbols"]:
                rows = [portfolio_watch(_order(owner, options))]
            else:
                rows = list(_watched(owner))
            self._show(rows, as_json=options["json"])
        except RequestError as error:
            fields = f" ({', '.join(error.fields)})" if error.fields else ""
            raise CommandError(error.message + fields) from error

    def _show(self, rows: list[Portfolio], *, as_json: bool) -> None:
        documents = [_document(row) for row in rows]
        if as_json:
            self.stdout.write(json.dumps(documents))
            return
        table = Table("Portfolio", "Name", "Symbols", "Value", "Drift", "State")
        for document in documents:
            drift = document["quantities"]["drift"]
            table.add_row(
                document["portfolio_id"],
                document["name"],
                " ".join(document["symbols"]),
                f"{document['value']:,.2f}" + (" simulated" if document["simulated"] else ""),
                "–" if drift is None else f"{drift:.2%}",
                "watched" if document["active"] else "ended",
            )
        Console(file=self.stdout).print(table)  # type: ignore[arg-type]  # it writes text


def _owner(username: str | None) -> Owner:
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - models are ready only now

    if username is None:
        return Owner(LOCAL_OWNER)
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"no user {username!r}; manage.py createsuperuser makes one")
    return Owner.of(user)


def _order(owner: Owner, options: dict[str, Any]) -> WatchOrder:
    return WatchOrder(
        owner=owner,
        name=options["name"],
        symbols=tuple(options["symbols"]),
        objective=Objective(options["objective"]),
        method=Method(options["method"]),
        rules=tuple(map(_rule, options["trigger"])) or (PriceChangeRule(),),
    )


def _rule(text: str) -> Rule:
    try:
        return RULES.validate_json(f"[{text}]")[0]
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = "".join(f"{part}: " for part in problem["loc"][1:])
        raise CommandError(f"--trigger {text}: {place}{problem['msg']}") from error


def _watched(owner: Owner) -> QuerySet[Portfolio]:
    return Portfolio.objects.filter(owner=owner.key, active=True)


def _document(row: Portfolio) -> dict[str, Any]:
    standing = portfolio_standing(row)
    return {
        "portfolio_id": row.portfolio_id,
        "name": row.name,
        "symbols": row.symbols,
        "objective": row.objective,
        "method": row.method,
        "triggers": row.rules,
        "active": row.active,
        "value": standing.value,
        "weights": standing.weights,
        "quantities": standing.quantities,
        "simulated": standing.simulated,
    }

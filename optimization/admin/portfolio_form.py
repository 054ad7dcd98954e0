"""The form on which an operator changes what a watched portfolio is optimised for, and when."""

import dataclasses
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from pydantic import ValidationError

from optimization.engine.errors import EngineError
from optimization.engine.problem import Constraints, Method, Objective
from optimization.errors import RequestError
from optimization.models import Portfolio
from optimization.submissions import Owner, constraints_from_document
from optimization.watching.portfolios import WatchOrder, check_order
from optimization.watching.rules import RULES, Rule

if TYPE_CHECKING:
    PortfolioFormBase = forms.ModelForm[Portfolio]
else:
    PortfolioFormBase = forms.ModelForm


class PortfolioForm(PortfolioFormBase):
    """Name, problem and rules; what is held is its owner's business.

    ``order`` is what the form says, once it is valid.
    """

    order: WatchOrder

    class Meta:
        model = Portfolio
        fields: ClassVar = (
            "name",
            "active",
            "objective",
            "method",
            "constraints",
            "parameters",
            "rules",
        )
        help_texts: ClassVar = {
            "active": "Whether its rules are evaluated.",
            "constraints": 'As on the wire, such as {"long_only": true, "max_weight": 0.4}.',
            "parameters": 'As on the wire, such as {"lookback": 252}.',
            "rules": 'A list, such as [{"kind": "price_change", "threshold": 0.01}, '
            '{"kind": "risk_alert", "measure": "drawdown", "limit": 0.1}].',
        }

    def clean(self) -> dict[str, Any]:
        """Check all of it as the wire would, down to whether some portfolio satisfies it."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            rules = self._rules(cleaned["rules"] or [])
            self.order = WatchOrder(
                owner=Owner(self.instance.owner, self.instance.user_id),
                name=cleaned["name"],
                symbols=tuple(self.instance.symbols),
                objective=Objective(cleaned["objective"]),
                method=Method(cleaned["method"]),
                constraints=_constraints(cleaned["constraints"] or {}),
                parameters=_object(cleaned["parameters"] or {}),
                rules=rules,
            )
            check_order(self.order)
        except ValidationError as error:
            self.add_error("constraints", list(_sentences(error)))
        except UnknownConstraintError as error:
            self.add_error("constraints", str(error))
        except (EngineError, RequestError) as error:
            self.add_error(self._place(error.fields), error.message)
        except (TypeError, ValueError) as error:
            self.add_error("parameters", str(error))
        return cleaned

    def _rules(self, document: Any) -> tuple[Rule, ...]:
        try:
            return tuple(RULES.validate_python(document))
        except ValidationError as error:
            self.add_error("rules", list(_sentences(error)))
            return ()

    def _place(self, paths: Iterable[str]) -> str | None:
        """The field of the form that an error of the engine is about; None for the whole."""
        heads = (re.split(r"[.\[]", path)[0] for path in paths)
        # The symbols are given here; of a history that is too short, only the lookback can change.
        names = (_PLACES.get(head, head) for head in heads)
        return next((name for name in names if name in self.fields), None)


_PLACES = {"triggers": "rules", "symbols": "parameters"}


class UnknownConstraintError(Exception):
    """A constraint's name is not known."""


def _constraints(document: dict[str, Any]) -> Constraints:
    known = [field.name for field in dataclasses.fields(Constraints)]
    unknown = [name for name in document if name not in known]
    if unknown:
        raise UnknownConstraintError(f"{unknown[0]} is unknown; known are {', '.join(known)}")
    return constraints_from_document(document)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError('an object is expected, such as {"lookback": 252}')
    return value


def _sentences(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"])
        yield f"{place}: {problem['msg']}" if place else problem["msg"]

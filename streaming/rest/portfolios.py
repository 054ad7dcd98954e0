"""Watched portfolios and market events over REST."""

from dataclasses import asdict
from typing import Annotated, Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import to_json
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from optimization.engine.problem import Method, Objective
from optimization.models import Portfolio
from optimization.watching.events import MarketEvent, event_post
from optimization.watching.portfolios import (
    find_portfolio,
    portfolio_standing,
    portfolio_unwatch,
    portfolio_watch,
)
from streaming.decoding import FrameError, decode
from streaming.orders import watch_order_of
from streaming.protocol import (
    ClientMessage,
    ErrorCode,
    PortfolioStandingData,
    Symbol,
    WatchData,
)
from streaming.rest.base import RestView, body_object, document_response
from streaming.rest.optimizations import errors


class PortfolioSummary(BaseModel):
    """A watched portfolio."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    portfolio_id: str
    name: str
    symbols: list[str]
    objective: Objective
    method: Method
    constraints: dict[str, Any]
    parameters: dict[str, Any]
    triggers: list[dict[str, Any]]
    follows: bool
    """Whether it is a paper portfolio that is rebalanced to every result."""
    created_at: AwareDatetime
    optimized_at: AwareDatetime | None


class PortfolioDocument(PortfolioSummary):
    """A watched portfolio and how it stands."""

    standing: PortfolioStandingData


class PortfolioList(BaseModel):
    """All watched portfolios of whoever asks."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    results: list[PortfolioSummary]


class EventData(BaseModel):
    """Something that happened in the market."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    headline: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    symbols: list[Symbol] = Field(default_factory=list, max_length=1000)
    """To whom; none for the whole market."""


class PortfoliosView(RestView):
    """The watched portfolios of whoever asks."""

    @extend_schema(operation_id="portfolios_list", responses={200: PortfolioList, **errors()})
    def get(self, request: Request) -> Response:
        """List watched portfolios, the oldest first."""
        rows = Portfolio.objects.filter(owner=self.owner(request).key, active=True)
        return document_response(
            PortfolioList(results=[PortfolioSummary(**_fields(row)) for row in rows])
        )

    @extend_schema(
        operation_id="portfolios_watch",
        request=WatchData,
        responses={
            201: OpenApiResponse(PortfolioDocument, description="Watched."),
            **errors(400, 403, 413, 415, 422),
        },
    )
    def post(self, request: Request) -> Response:
        """Watch a portfolio; the body is the `data` of the wire's `watch`."""
        envelope = {"type": ClientMessage.WATCH, "data": body_object(request)}
        message = decode(to_json(envelope).decode())
        row = portfolio_watch(watch_order_of(self.owner(request), message))
        address = reverse("portfolio", args=[row.portfolio_id], request=request)
        return document_response(_document(row), status=201, Location=address)


class PortfolioView(RestView):
    """One watched portfolio."""

    @extend_schema(
        operation_id="portfolios_read", responses={200: PortfolioDocument, **errors(404, 422)}
    )
    def get(self, request: Request, portfolio_id: str) -> Response:
        """Read a portfolio: its value, drift and risk at the newest prices."""
        return document_response(_document(find_portfolio(self.owner(request), portfolio_id)))

    @extend_schema(operation_id="portfolios_unwatch", responses={204: None, **errors(403, 404)})
    def delete(self, request: Request, portfolio_id: str) -> Response:
        """Watch it no longer; its results stay in the history."""
        portfolio_unwatch(self.owner(request), portfolio_id)
        return Response(status=204)


class EventsView(RestView):
    """News that watched portfolios may be optimised for."""

    @extend_schema(
        operation_id="events_post",
        request=EventData,
        responses={
            202: OpenApiResponse(EventData, description="Handed to the watcher."),
            **errors(400, 403, 413, 415, 422),
        },
    )
    def post(self, request: Request) -> Response:
        """Post an event: portfolios with a `news` trigger that it concerns are optimised."""
        try:
            event = EventData.model_validate(body_object(request))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            paths = [".".join(map(str, problem["loc"])) for problem in problems]
            sentences = [f"{p}: {q['msg']}" for p, q in zip(paths, problems, strict=True)]
            raise FrameError(ErrorCode.INVALID_REQUEST, "; ".join(sentences), paths) from error
        event_post(MarketEvent(event.headline, tuple(event.symbols)))
        return document_response(event, status=202)


def _fields(row: Portfolio) -> dict[str, Any]:
    names = set(PortfolioSummary.model_fields) - {"triggers"}
    return {**{name: getattr(row, name) for name in names}, "triggers": row.rules}


def _document(row: Portfolio) -> PortfolioDocument:
    standing = PortfolioStandingData(**asdict(portfolio_standing(row)))
    return PortfolioDocument(**_fields(row), standing=standing)

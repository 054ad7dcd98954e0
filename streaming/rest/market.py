"""Symbols and newest prices over REST."""

import time
from typing import Annotated

from django.conf import settings
from django.db.models import Q
from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata.models import Asset, Source
from marketdata.quotes import Quote, feed_status, latest_quotes
from streaming.rest.base import (
    QueryModel,
    RestView,
    document_response,
    query_parameters,
    read_query,
)
from streaming.rest.optimizations import Text, errors

SymbolList = Annotated[
    str, StringConstraints(min_length=1, max_length=33_000, pattern=r"^[^\x00]*$")
]


class SymbolDocument(BaseModel):
    """One symbol with daily closes."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    symbol: str
    name: str
    source: Source
    first_date: str
    """Day of the first close, ISO 8601."""
    last_date: str
    """Day of the last close, ISO 8601."""
    bars: int
    """Number of daily closes."""


class SymbolsDocument(BaseModel):
    """Symbols that can be optimised over, in alphabetical order."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    results: list[SymbolDocument]
    total: int
    """Symbols that match, also those beyond the limit."""


class SymbolFilter(QueryModel):
    """What the symbols are narrowed to."""

    search: Text | None = None
    """Part of a symbol or of a name."""
    source: Source | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class QuoteDocument(BaseModel):
    """The newest price of a symbol."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    price: float
    timestamp: float
    """Epoch seconds of the tick."""
    age: float
    """Seconds since the tick."""
    stale: bool
    """Whether the tick is older than the server's FEED_STALE_SECONDS."""
    source: Source
    feed: str


class FeedDocument(BaseModel):
    """How the feed does."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """Empty before the first tick."""
    last_tick: float | None
    """Epoch seconds."""
    stale: bool


class PricesDocument(BaseModel):
    """Newest prices."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    prices: dict[str, QuoteDocument]
    missing: list[str]
    """Symbols asked for of which there is no quote."""
    feed: FeedDocument


class PricesFilter(QueryModel):
    """Which prices."""

    symbols: SymbolList | None = None
    """Symbols, separated by commas; every quoted symbol when left out."""


class SymbolsView(RestView):
    """What can be optimised over."""

    @extend_schema(
        operation_id="symbols_list",
        parameters=query_parameters(SymbolFilter),
        responses={200: SymbolsDocument, **errors(422)},
    )
    def get(self, request: Request) -> Response:
        """List symbols with the source and the span of their history."""
        wanted = read_query(request, SymbolFilter)
        assets = Asset.objects.filter(bar_count__gt=0)
        if wanted.source is not None:
            assets = assets.filter(source=wanted.source)
        if wanted.search is not None:
            named = Q(symbol__icontains=wanted.search) | Q(name__icontains=wanted.search)
            assets = assets.filter(named)
        results = [
            SymbolDocument(
                symbol=asset.symbol,
                name=asset.name,
                source=Source(asset.source),
                first_date=str(asset.first_date),
                last_date=str(asset.last_date),
                bars=asset.bar_count,
            )
            for asset in assets[: wanted.limit]
        ]
        return document_response(SymbolsDocument(results=results, total=assets.count()))


class PricesView(RestView):
    """What symbols cost now."""

    @extend_schema(
        operation_id="prices_list",
        parameters=query_parameters(PricesFilter),
        responses={200: PricesDocument, **errors(422)},
    )
    def get(self, request: Request) -> Response:
        """Newest prices with their age."""
        wanted = read_query(request, PricesFilter)
        symbols = None
        if wanted.symbols is not None:
            symbols = list(dict.fromkeys(s for s in wanted.symbols.split(",") if s))
        quotes = latest_quotes(symbols)
        status, now = feed_status(), time.time()
        document = PricesDocument(
            prices={symbol: _quote(quote, now) for symbol, quote in sorted(quotes.items())},
            missing=[symbol for symbol in symbols or () if symbol not in quotes],
            feed=FeedDocument(name=status.name, last_tick=status.last_tick, stale=status.stale),
        )
        return document_response(document)


def _quote(quote: Quote, now: float) -> QuoteDocument:
    age = max(0.0, now - quote.timestamp)
    return QuoteDocument(
        price=quote.price,
        timestamp=quote.timestamp,
        age=round(age, 3),
        stale=age > settings.FEED_STALE_SECONDS,
        source=quote.source,
        feed=quote.feed,
    )

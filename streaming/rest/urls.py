"""Every address of the REST API."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView

from streaming.rest.documents import AsyncApiView, api_docs
from streaming.rest.health import LiveView, MetricsView, ReadyView
from streaming.rest.market import PricesView, SymbolsView
from streaming.rest.optimizations import (
    FrontierView,
    OptimizationCancelView,
    OptimizationsView,
    OptimizationView,
)
from streaming.rest.portfolios import EventsView, PortfoliosView, PortfolioView
from streaming.rest.status import StatusView

urlpatterns: list[URLPattern] = [
    path("api/v1/streaming/status", StatusView.as_view(), name="streaming-status"),
    path("api/v1/optimizations/", OptimizationsView.as_view(), name="optimizations"),
    path("api/v1/optimizations/<str:request_id>/", OptimizationView.as_view(), name="optimization"),
    path(
        "api/v1/optimizations/<str:request_id>/cancel/",
        OptimizationCancelView.as_view(),
        name="optimization-cancel",
    ),
    path("api/v1/frontier/", FrontierView.as_view(), name="frontier"),
    path("api/v1/portfolios/", PortfoliosView.as_view(), name="portfolios"),
    path("api/v1/portfolios/<str:portfolio_id>/", PortfolioView.as_view(), name="portfolio"),
    path("api/v1/events/", EventsView.as_view(), name="events"),
    path("api/v1/symbols/", SymbolsView.as_view(), name="symbols"),
    path("api/v1/prices/", PricesView.as_view(), name="prices"),
    path("api/v1/health/live", LiveView.as_view(), name="health-live"),
    path("api/v1/health/ready", ReadyView.as_view(), name="health-ready"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", api_docs, name="api-docs"),
    path("asyncapi.json", AsyncApiView.as_view(), name="asyncapi"),
    path("metrics", MetricsView.as_view(), name="metrics"),
]

"""Every HTTP address of the server."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView

from streaming.api import StatusView

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/v1/streaming/status", StatusView.as_view(), name="streaming-status"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
]

"""Every HTTP address of the server."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from streaming.pages import dashboard

urlpatterns: list[URLPattern | URLResolver] = [
    path("", dashboard, name="dashboard"),
    path("admin/", admin.site.urls),
    path("", include("streaming.rest.urls")),
]

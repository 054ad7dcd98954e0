"""Every HTTP address of the server."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from streaming.monitoring.service_page import admin_service
from streaming.pages import dashboard, favicon

urlpatterns: list[URLPattern | URLResolver] = [
    path("", dashboard, name="dashboard"),
    path("favicon.ico", favicon, name="favicon"),
    path("admin/service/", admin_service, name="admin-service"),
    path("admin/", admin.site.urls),
    path("", include("streaming.rest.urls")),
]

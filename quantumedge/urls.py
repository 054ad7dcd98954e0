"""Every HTTP address of the server."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from streaming.pages import dashboard
from streaming.service_page import admin_service

urlpatterns: list[URLPattern | URLResolver] = [
    path("", dashboard, name="dashboard"),
    path("admin/service/", admin_service, name="admin-service"),
    path("admin/", admin.site.urls),
    path("", include("streaming.rest.urls")),
]

"""The OpenAPI document and its page."""

import re

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from streaming.rest.urls import urlpatterns

pytestmark = pytest.mark.usefixtures("db")


def test_the_schema_is_valid_and_complete(client: Client, tmp_path: object) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", f"{tmp_path}/schema.yml")
    schema = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    assert schema["openapi"].startswith("3.1")
    # The tests of the schema ask only what stands in it.
    routes = {
        re.sub(r"<str:(\w+)>", r"{\1}", f"/{pattern.pattern}"): pattern for pattern in urlpatterns
    }
    assert set(routes) - set(schema["paths"]) == {"/api/v1/docs/", "/api/v1/schema/"}
    for route, operations in schema["paths"].items():
        view = getattr(routes[route].callback, "view_class", None)
        assert view is not None, route
        handled = {
            name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)
        }
        assert handled == set(operations) - {"parameters"}, route
    post = schema["paths"]["/api/v1/optimizations/"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in post["parameters"]]


def test_the_page_documents_every_operation_without_script_or_style(client: Client) -> None:
    answer = client.get("/api/v1/docs/")
    page = answer.content.decode()
    schema = client.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    for path in schema["paths"]:
        assert path in page
    assert "<script" not in page
    assert "style=" not in page
    assert "require-trusted-types-for 'script'" in answer["Content-Security-Policy"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_every_link_of_the_page_leads_somewhere(client: Client) -> None:
    page = client.get("/api/v1/docs/").content.decode()
    anchors = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links
    assert links <= anchors
    for address in re.findall(r'href="(/[^"#]*)"', page):
        if not address.startswith("/static/"):
            assert client.get(address).status_code == 200


def test_without_local_mode_the_page_asks_to_sign_in(client: Client, settings: Settings) -> None:
    settings.LOCAL_MODE = False
    answer = client.get("/api/v1/docs/")
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]

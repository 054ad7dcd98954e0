"""The admin's pages as an operator's browser gets them."""

import re
import urllib.parse
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from tests.e2e.harness import PATIENCE, Server, manage

NAME, PASSWORD = "ann", "correct horse battery staple"


def operator(server: Server) -> OpenerDirector:
    """The session of a new superuser."""
    account = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "DJANGO_SUPERUSER_EMAIL": "ann@desk.example"}
    manage(server.data_dir, "createsuperuser", "--noinput", "--username", NAME, **account)
    session = build_opener(HTTPCookieProcessor(CookieJar()))
    form = page(session, server, "/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token is not None
    fields = {"username": NAME, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    data = urllib.parse.urlencode(fields).encode()
    with session.open(f"{server.url}/admin/login/?next=/admin/", data, PATIENCE) as answer:
        assert answer.url.endswith("/admin/")
    return session


def page(session: OpenerDirector, server: Server, path: str) -> str:
    """A page's HTML."""
    with session.open(server.url + path, timeout=PATIENCE) as answer:
        return str(answer.read().decode())

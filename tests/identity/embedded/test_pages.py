"""The pages that people see: readable by everybody, framed by nobody, loading nothing."""

import re
from html.parser import HTMLParser

import pytest

from tests.identity.browser import Browser
from tests.identity.server import IdentityServer


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("path", ["auth", "registrations"])
def test_every_field_has_a_label_and_the_page_a_language(embedded_server: IdentityServer, path: str):
    page = Browser(embedded_server).open(path)
    elements = _Elements()
    elements.feed(page.response.text)
    assert ("html", {"lang": "en"}) in elements.found
    assert len([tag for tag, _ in elements.found if tag == "h1"]) == 1
    labelled = {attributes.get("for") for tag, attributes in elements.found if tag == "label"}
    for tag, attributes in elements.found:
        if tag == "input" and attributes.get("type") not in ("hidden", "checkbox"):
            assert attributes["id"] in labelled
            assert attributes["autocomplete"]


def test_an_error_is_announced(embedded_server: IdentityServer):
    page = Browser(embedded_server).log_in("nobody@example.org", "wrong")
    assert 'role="alert"' in page.response.text
    assert 'aria-describedby="error"' in page.response.text


@pytest.mark.parametrize("path", ["auth", "registrations", "auth?client_id=nobody"])
def test_pages_load_nothing_and_are_not_framed_or_kept(embedded_server: IdentityServer, path: str):
    page = Browser(embedded_server).open(path)
    headers = page.response.headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"].startswith("no-store")
    assert headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.response.text)


def test_cookies_are_kept_from_scripts_and_from_other_sites(embedded_server: IdentityServer):
    user = embedded_server.new_user()
    browser = Browser(embedded_server)
    page = browser.open()
    back = browser.submit(page, username=user.email, password=user.password)
    for response in (page.response, back.response):
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
    behind_tls = browser.client.get(
        f"{embedded_server.protocol}/auth",
        params=browser.request(prompt="login"),
        headers={"x-forwarded-proto": "https"},
    )
    assert "secure" in behind_tls.headers["set-cookie"].lower()


def test_the_log_in_page_leads_to_registration_and_back(embedded_server: IdentityServer):
    browser = Browser(embedded_server)
    registration = browser.go(browser.open(), "Create an account")
    assert "email" in registration.forms[0]["fields"]
    assert "username" in browser.go(registration, "Sign in").forms[0]["fields"]


def test_registration_says_what_is_wrong(embedded_server: IdentityServer):
    browser = Browser(embedded_server)
    page = browser.open("registrations")
    for fields, words in (
        ({"email": "nonsense", "password": "x", "password_confirm": "x"}, "valid email"),
        ({"email": "a@example.org", "password": "x", "password_confirm": "y"}, "differ"),
        ({"email": "a@example.org", "password": "", "password_confirm": ""}, "password"),
        ({"email": "a@example.org", "firstName": "<b>", "password": "x", "password_confirm": "x"}, "name"),
    ):
        page = browser.submit(page, **fields)
        assert words in page.text
    taken = embedded_server.new_user()
    page = browser.submit(page, email=taken.email, firstName="", password="x", password_confirm="x")
    assert "There is an account" in page.text


def test_registration_can_be_switched_off(embedded_server: IdentityServer):
    admin = embedded_server.master_admin()
    admin.connection.raw_put("admin/realms/jan", data='{"registrationAllowed": false}')
    try:
        browser = Browser(embedded_server)
        assert browser.open("registrations").response.status_code == 400
        assert "Create an account" not in browser.open().links
    finally:
        admin.connection.raw_put("admin/realms/jan", data='{"registrationAllowed": true}')

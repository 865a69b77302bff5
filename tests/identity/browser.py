"""A browser's part of a log-in, by plain HTTP: pages are read, forms are filled in and sent."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from tests.identity.server import CALLBACK, IdentityServer


class _Forms(HTMLParser):
    """Collects the forms of a page with their fields, its links and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.links: dict[str, str] = {}
        self.text = ""
        self._link = ""
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append({"action": found.get("action") or "", "fields": {}, "labels": set()})
        elif tag == "input" and self.forms and found.get("name") and found.get("type") != "checkbox":
            self.forms[-1]["fields"][found["name"]] = found.get("value") or ""
        elif tag == "a":
            self._link = found.get("href") or ""
        elif tag in ("style", "script"):
            self._silent = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._silent = False
        elif tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data
            if self._link:
                self.links[data.strip()] = self._link


@dataclass
class Page:
    """A page that a browser shows."""

    url: str
    response: httpx.Response
    forms: list[dict[str, Any]] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    text: str = ""


class Browser:
    """Keeps cookies, follows the forms of the identity server, and stops at the client's address."""

    def __init__(self, server: IdentityServer) -> None:
        self.server = server
        # One client for the server alone: cookies of a real Keycloak are for TLS or localhost.
        self.client = httpx.Client(timeout=30, verify=False)
        self.verifier = secrets.token_urlsafe(48)

    def request(self, **more: str | None) -> dict[str, str]:
        """The parameters of a log-in for jan-client; None leaves one out."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        parameters: dict[str, str | None] = {
            "client_id": "jan-client",
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": CALLBACK,
            "state": "state-of-a-test",
            "nonce": "nonce-of-a-test",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **more,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def open(self, path: str = "auth", **more: str | None) -> Page:
        """Go to a page of the realm with the parameters of a log-in."""
        url = f"{self.server.protocol}/{path}"
        return self._page(self.client.get(url, params=self.request(**more), headers=self._cookies()))

    def visit(self, path: str, **parameters: str) -> Page:
        """Go to a page of the realm."""
        url = f"{self.server.protocol}/{path}"
        return self._page(self.client.get(url, params=parameters, headers=self._cookies()))

    def go(self, page: Page, link: str) -> Page:
        """Follow a link of a page."""
        return self._page(self.client.get(self._address(page, page.links[link]), headers=self._cookies()))

    def submit(self, page: Page, **fields: str) -> Page:
        """Send the form of a page."""
        form = page.forms[0]
        names = {name: name.replace("_", "-") for name in fields}
        values = {**form["fields"], **{names[name]: value for name, value in fields.items()}}
        return self._page(
            self.client.post(self._address(page, form["action"]), data=values, headers=self._cookies())
        )

    def log_in(self, username: str, password: str, **more: str | None) -> Page:
        """Open the log-in page and send it."""
        return self.submit(self.open(**more), username=username, password=password)

    def exchange(self, code: str, **more: str | None) -> httpx.Response:
        """Exchange a code as the client does."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": "jan-client",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            **more,
        }
        return self.server.token(**{name: value for name, value in form.items() if value is not None})

    def _address(self, page: Page, address: str) -> str:
        """Where a form or link leads, at the address of the server under test instead of its public one."""
        parts = urlsplit(urljoin(page.url, address))
        return f"{self.server.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")

    def _cookies(self) -> dict[str, str]:
        # A real Keycloak marks its cookies Secure; httpx would keep them back on plain HTTP.
        jar = {cookie.name: cookie.value for cookie in self.client.cookies.jar}
        return {"cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}

    def _page(self, response: httpx.Response) -> Page:
        while response.is_redirect and not self.left(response):
            address = urljoin(str(response.url), response.headers["location"])
            parts = urlsplit(address)
            target = f"{self.server.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
            response = self.client.get(target, headers=self._cookies())
        parser = _Forms()
        if response.headers.get("content-type", "").startswith("text/html"):
            parser.feed(response.text)
        return Page(str(response.url), response, parser.forms, parser.links, " ".join(parser.text.split()))

    def left(self, response: httpx.Response) -> bool:
        """Whether a redirect leads away from the identity server, to a client."""
        target = urlsplit(urljoin(str(response.url), response.headers["location"]))
        issuer = urlsplit(self.server.url)
        public = urlsplit(self.server.settings.infrastructure.auth.keycloak.issuer)
        return target.netloc not in (issuer.netloc, public.netloc)


def answer_of(page: Page) -> dict[str, str]:
    """The parameters with which a browser came back to the client."""
    assert page.response.is_redirect, page.text
    location = urlsplit(page.response.headers["location"])
    return dict(parse_qsl(location.query or location.fragment))


def target_of(page: Page) -> str:
    """The address to which a browser was sent, without parameters."""
    parts = urlsplit(page.response.headers["location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}"

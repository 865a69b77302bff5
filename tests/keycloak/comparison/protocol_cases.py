"""Requests to the protocol's endpoints: each route that services and clients use, its good and bad uses.

Texts in braces are values of `side.py`, made on either server when the request is sent.
Source: contract/identity.md, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from tests.identity.browser import Browser
from tests.identity.server import BACKEND_SECRET, CALLBACK, PASSWORD
from tests.keycloak.comparison.case import FORGED, Case, get, post
from tests.keycloak.comparison.side import TEMPORARY, VERIFIER, Side

BACKEND = ("backend", BACKEND_SECRET)


def _token(name: str, auth: tuple[str, str] | None = None, **form: str) -> Case:
    return Case(name, "POST", "{protocol}/token", {"data": form, "auth": auth})


def _password(name: str, **form: str) -> Case:
    given = {"client_id": "jan-client", "username": "{ada's address}", "password": PASSWORD, **form}
    return _token(f"password grant: {name}", grant_type="password", **given)


def _refresh(name: str, **form: str) -> Case:
    return _token(f"refresh: {name}", grant_type="refresh_token", **{"client_id": "jan-client", **form})


def _code(name: str, **form: str) -> Case:
    given = {
        "client_id": "jan-client",
        "code": "{code}",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **form,
    }
    given = {member: value for member, value in given.items() if value}
    return _token(f"code: {name}", grant_type="authorization_code", **given)


def _page(name: str, **parameters: str | None) -> Case:
    """A browser that comes with a client's request; the answer is not followed."""

    def call(side: Side) -> httpx.Response:
        browser = Browser(side.server)
        browser.verifier = VERIFIER
        return browser.client.get(f"{side.server.protocol}/auth", params=browser.request(**parameters))

    return Case(f"log-in page: {name}", call=call)


def _log_in(name: str, *, username: str = "{ada's address}", password: str = PASSWORD, **more: str) -> Case:
    """A browser that sends the log-in form."""

    def call(side: Side) -> httpx.Response:
        browser = Browser(side.server)
        browser.verifier = VERIFIER
        return browser.log_in(side.filled(username), password, **more).response

    return Case(f"log-in: {name}", call=call)


def _again(side: Side) -> httpx.Response:
    browser = Browser(side.server)
    browser.log_in(side.ada.email, side.ada.password)
    return browser.open(prompt="none").response


def _discovery() -> Iterator[Case]:
    origin = {"origin": "http://localhost:3000"}
    for name, path in (
        ("discovery", "{realm}/.well-known/openid-configuration"),
        ("signing keys", "{protocol}/certs"),
        ("realm", "{realm}"),
    ):
        yield get(name, path)
        yield get(f"{name}, for a page", path, headers=origin)
        yield get(f"{name}, below /auth", path.replace("{", "{auth ", 1))
        yield Case(f"{name}, posted", "POST", path)
    for path in ("", "/.well-known/openid-configuration", "/protocol/openid-connect/certs"):
        yield get(f"unknown realm{path}", "{url}/realms/nobodys" + path)
    yield get("nothing of a realm", "{realm}/nothing")
    yield get("nothing of the protocol", "{protocol}/nothing")
    yield get("nothing at all", "{url}/nothing")


def _passwords() -> Iterator[Case]:
    yield _password("with openid", scope="openid")
    yield _password("without a scope")
    yield _password("with profile alone", scope="profile")
    yield _password("of all scopes", scope="openid profile email phone address microprofile-jwt")
    yield _password("offline", scope="openid offline_access")
    yield _password("an empty scope", scope="")
    yield _password("an unknown scope", scope="openid everything")
    yield _password("a scope that is attached nowhere", scope="openid groups")
    yield _password("a name in capitals", username="ADA@Compared.Example", scope="openid")
    yield _password("a user without anything", username="{new user's address}", scope="openid")
    yield _password("through jan-admin", client_id="jan-admin", scope="openid")
    yield _password("through backend", client_id="backend", client_secret=BACKEND_SECRET, scope="openid")
    yield _password("through admin-cli", client_id="admin-cli")
    yield _password("through account", client_id="account")
    yield _password("a wrong password", username="{new user's address}", password="wrong")
    yield _password("an empty password", username="{new user's address}", password="")
    yield _password("an unknown user", username="nobody@compared.example")
    yield _password("an empty name", username="")
    yield _password("a disabled user", username="{disabled user's address}")
    yield _password(
        "a disabled user and a wrong password", username="{disabled user's address}", password="x"
    )
    yield _password("a temporary password", username="{unready user's address}", password=TEMPORARY)
    yield _password("a user that has to wait", username="{waiting user's address}")
    for missing in ("username", "password", "client_id", "grant_type"):
        form = {
            "grant_type": "password",
            "client_id": "jan-client",
            "username": "{new user's address}",
            "password": PASSWORD,
        }
        del form[missing]
        yield _token(f"password grant: without {missing}", **form)
    yield _password("an unknown client", client_id="nobody")
    yield _password("a client that only takes tokens", client_id="realm-management")
    yield _password("a public client with a secret", client_secret="any", scope="openid")
    yield _password("a wrong secret", client_id="backend", client_secret="wrong")
    yield _password("no secret", client_id="backend")


def _token_endpoint() -> Iterator[Case]:
    yield _token("token: an unknown grant", grant_type="nonsense", client_id="jan-client")
    yield _token("token: an empty grant", grant_type="", client_id="jan-client")
    yield get("token: read", "{protocol}/token")
    yield post("token: nothing", "{protocol}/token")
    yield post("token: JSON", "{protocol}/token", json={"grant_type": "password"})
    yield post(
        "token: a parameter twice",
        "{protocol}/token",
        content="grant_type=password&client_id=jan-client&username=a&username=b&password=c",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    yield post("token: an unknown realm", "{url}/realms/nobodys/protocol/openid-connect/token")
    for name, origin in (("a page", "http://localhost:3000"), ("a foreign page", "http://evil.example")):
        form = {
            "grant_type": "password",
            "client_id": "jan-client",
            "username": "{ada's address}",
            "password": PASSWORD,
        }
        yield post(f"token: for {name}", "{protocol}/token", data=form, headers={"origin": origin})
        asked = {"origin": origin, "access-control-request-method": "POST"}
        for path in ("token", "userinfo", "logout", "revoke", "certs"):
            yield Case(f"preflight: {path} for {name}", "OPTIONS", f"{{protocol}}/{path}", {"headers": asked})
    yield _token("client credentials: backend", BACKEND, grant_type="client_credentials")
    yield _token(
        "client credentials: in the form",
        grant_type="client_credentials",
        client_id="backend",
        client_secret=BACKEND_SECRET,
    )
    yield _token("client credentials: openid", BACKEND, grant_type="client_credentials", scope="openid")
    yield _token(
        "client credentials: offline", BACKEND, grant_type="client_credentials", scope="offline_access"
    )
    yield _token("client credentials: a wrong secret", ("backend", "x"), grant_type="client_credentials")
    yield _token("client credentials: an unknown client", ("nobody", "x"), grant_type="client_credentials")
    yield _token("client credentials: no client", grant_type="client_credentials")
    yield _token(
        "client credentials: a public client", grant_type="client_credentials", client_id="jan-client"
    )
    yield _token("client credentials: an unknown scope", BACKEND, grant_type="client_credentials", scope="x")
    yield post(
        "client credentials: a broken header",
        "{protocol}/token",
        data={"grant_type": "client_credentials"},
        headers={"authorization": "Basic !!!"},
    )


def _refreshes() -> Iterator[Case]:
    yield _refresh("a good token", refresh_token="{refresh token}")
    yield _refresh("without openid", refresh_token="{refresh token without openid}")
    yield _refresh("fewer scopes", refresh_token="{refresh token}", scope="openid email")
    yield _refresh("more scopes", refresh_token="{refresh token}", scope="openid phone")
    yield _refresh("unknown scopes", refresh_token="{refresh token}", scope="openid everything")
    yield _refresh("an empty scope", refresh_token="{refresh token}", scope="")
    yield _refresh("offline", refresh_token="{offline token}")
    yield _refresh("used before", refresh_token="{used refresh token}")
    yield _refresh("after a log-out", refresh_token="{ended refresh token}")
    yield _refresh("of another client", refresh_token="{refresh token of a script}")
    yield _refresh("of a disabled user", refresh_token="{refresh token of a disabled user}")
    yield _refresh("of a deleted user", refresh_token="{refresh token of a deleted user}")
    yield _refresh(
        "of a user that was logged out",
        refresh_token="{refresh token of a user that an administrator logged out}",
    )
    yield _refresh("an access token", refresh_token="{access token}")
    yield _refresh("an id token", refresh_token="{id token}")
    yield _refresh("nonsense", refresh_token="nonsense")
    yield _refresh("an unsigned token", refresh_token=FORGED)
    yield _refresh("an empty token", refresh_token="")
    yield _refresh("no token")


def _exchanges() -> Iterator[Case]:
    kind = "urn:ietf:params:oauth:grant-type:token-exchange"
    access = "urn:ietf:params:oauth:token-type:access_token"
    for name, form in {
        "a token of its own": {"subject_token": "{backend}"},
        "with openid": {"subject_token": "{backend}", "scope": "openid"},
        "a token that is not for it": {"subject_token": "{access token}"},
        "nonsense": {"subject_token": "nonsense"},
        "an id token": {"subject_token": "{id token}"},
        "an unknown audience": {"subject_token": "{backend}", "audience": "nobody"},
        "an unknown scope": {"subject_token": "{backend}", "scope": "everything"},
        "no token": {},
    }.items():
        given = {"grant_type": kind, "subject_token_type": access, **form}
        yield _token(f"token exchange: {name}", BACKEND, **given)
    yield _token(
        "token exchange: a public client",
        grant_type=kind,
        client_id="jan-client",
        subject_token="{access token}",
        subject_token_type=access,
    )


def _codes() -> Iterator[Case]:
    yield _code("a good code")
    yield _code("offline", code="{offline code}")
    yield _code("spent", code="{spent code}")
    yield _code("nonsense", code="nonsense")
    yield _code("in a code's form", code="a.b.c")
    yield _code("no code", code="")
    yield _code("no verifier", code_verifier="")
    yield _code("a short verifier", code_verifier="short")
    yield _code("another verifier", code_verifier=VERIFIER[::-1])
    yield _code("another address", redirect_uri="http://localhost:3000/other")
    yield _code("no address", redirect_uri="")
    yield _code("another client", client_id="jan-admin")


def _browsers() -> Iterator[Case]:
    yield _page("a good request")
    yield _page("no client", client_id=None)
    yield _page("an unknown client", client_id="nobody")
    yield _page("a client without pages", client_id="jan-admin")
    yield _page("no address", redirect_uri=None)
    yield _page("a foreign address", redirect_uri="http://evil.example/")
    yield _page("no response type", response_type=None)
    yield _page("an unknown response type", response_type="nonsense")
    yield _page("the implicit flow", response_type="token")
    yield _page("the hybrid flow", response_type="code id_token")
    yield _page("an unknown response mode", response_mode="nonsense")
    yield _page("no challenge", code_challenge=None)
    yield _page("no challenge method", code_challenge_method=None)
    yield _page("a plain challenge", code_challenge_method="plain")
    yield _page("a short challenge", code_challenge="short")
    yield _page("an unknown scope", scope="openid everything")
    yield _page("no scope", scope=None)
    yield _page("no state", state=None, prompt="none")
    yield _page("prompt none", prompt="none")
    yield _page("prompt none in a fragment", prompt="none", response_mode="fragment")
    yield _page("prompt login", prompt="login")
    yield _page("an unknown prompt", prompt="nonsense")
    yield _page("a wrong age", max_age="x")
    yield get("log-in page: an unknown realm", "{url}/realms/nobodys/protocol/openid-connect/auth")
    yield _log_in("a good password")
    yield _log_in("in a fragment", response_mode="fragment")
    yield _log_in("in a form", response_mode="form_post")
    yield _log_in("a wrong password", username="{new user's address}", password="wrong")
    yield _log_in("a disabled user", username="{disabled user's address}")
    yield Case("log-in: a browser that is logged in", call=_again)


def _inspections() -> Iterator[Case]:
    userinfo = "{protocol}/userinfo"
    yield get("userinfo: a good token", userinfo, bearer="{access token}")
    yield post("userinfo: posted", userinfo, bearer="{access token}")
    yield post("userinfo: in a form", userinfo, data={"access_token": "{access token}"})
    yield get("userinfo: jan-admin's token", userinfo, bearer="{access token of a script}")
    for name, token in (
        ("nonsense", "nonsense"),
        ("an unsigned token", FORGED),
        ("a refresh token", "{refresh token}"),
        ("an id token", "{id token}"),
        ("without openid", "{access token without openid}"),
        ("after a log-out", "{access token of nobody's session}"),
        ("of a disabled user", "{access token of a disabled user}"),
        ("backend's own token", "{backend}"),
    ):
        yield get(f"userinfo: {name}", userinfo, bearer=token)
    yield get("userinfo: no token", userinfo)
    yield get("userinfo: a password", userinfo, auth=BACKEND)
    introspect = "{protocol}/token/introspect"
    for name, token in (
        ("an access token", "{access token}"),
        ("an access token without openid", "{access token without openid}"),
        ("jan-admin's token", "{access token of a script}"),
        ("backend's own token", "{backend}"),
        ("a refresh token", "{refresh token}"),
        ("a used refresh token", "{used refresh token}"),
        ("an id token", "{id token}"),
        ("after a log-out", "{access token of nobody's session}"),
        ("of a disabled user", "{access token of a disabled user}"),
        ("nonsense", "nonsense"),
    ):
        yield post(f"introspection: {name}", introspect, data={"token": token}, auth=BACKEND)
    yield post("introspection: no token", introspect, auth=BACKEND)
    yield post("introspection: no client", introspect, data={"token": "x"})
    yield post("introspection: a wrong secret", introspect, data={"token": "x"}, auth=("backend", "x"))
    yield post("introspection: a public client", introspect, data={"token": "x", "client_id": "jan-client"})
    yield get("introspection: read", introspect)


def _ends() -> Iterator[Case]:
    logout, revoke = "{protocol}/logout", "{protocol}/revoke"
    for name, form in {
        "a refresh token": {"refresh_token": "{refresh token}"},
        "an offline token": {"refresh_token": "{offline token}"},
        "twice": {"refresh_token": "{ended refresh token}"},
        "a used token": {"refresh_token": "{used refresh token}"},
        "nonsense": {"refresh_token": "nonsense"},
        "an access token": {"refresh_token": "{access token}"},
        "another client's token": {"refresh_token": "{refresh token of a script}"},
        "an unknown client": {"refresh_token": "{refresh token}", "client_id": "nobody"},
        "no client": {"refresh_token": "{refresh token}", "client_id": ""},
    }.items():
        yield post(f"log-out: {name}", logout, data={"client_id": "jan-client", **form})
    yield get("log-out: a browser without a log-in", logout)
    yield post("log-out: nothing", logout)
    back = {"id_token_hint": "{id token}", "post_logout_redirect_uri": "http://localhost:3000/bye"}
    yield get("log-out: a browser that is sent back", logout, params={**back, "state": "s"})
    yield get(
        "log-out: a browser that is sent elsewhere",
        logout,
        params={**back, "post_logout_redirect_uri": "http://evil.example/"},
    )
    yield get("log-out: a wrong hint", logout, params={**back, "id_token_hint": "nonsense"})
    yield get("log-out: the older parameter", logout, params={"redirect_uri": "http://localhost:3000/bye"})
    for name, form in {
        "a refresh token": {"token": "{refresh token}"},
        "an access token": {"token": "{access token}"},
        "an offline token": {"token": "{offline token}"},
        "an id token": {"token": "{id token}"},
        "nonsense": {"token": "nonsense"},
        "an ended token": {"token": "{ended refresh token}"},
        "another client's token": {"token": "{refresh token of a script}"},
        "with a hint": {"token": "{refresh token}", "token_type_hint": "refresh_token"},
        "with an unknown hint": {"token": "{refresh token}", "token_type_hint": "nonsense"},
        "no token": {},
        "an unknown client": {"token": "x", "client_id": "nobody"},
        "no client": {"token": "x", "client_id": ""},
    }.items():
        yield post(f"revocation: {name}", revoke, data={"client_id": "jan-client", **form})
    yield get("revocation: read", revoke)


CASES = tuple(
    case
    for section in (
        _discovery,
        _passwords,
        _token_endpoint,
        _refreshes,
        _exchanges,
        _codes,
        _browsers,
        _inspections,
        _ends,
    )
    for case in section()
)

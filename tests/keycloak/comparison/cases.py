"""The requests that both servers get: every route that services and clients depend on, its good and bad uses.

Texts in braces are values of `side.py`, made on either server when the request is sent.
Source: contract/identity.md, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.identity.browser import Browser
from tests.identity.server import BACKEND_SECRET, CALLBACK, PASSWORD
from tests.keycloak.comparison.side import TEMPORARY, VERIFIER, Side

BACKEND = ("backend", BACKEND_SECRET)
FORGED = "eyJhbGciOiJub25lIn0.e30."


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        name: What is asked, in words; unique.
        method: The HTTP method.
        path: The address.
        options: Everything else of `Side.send`.
        call: Sends it, where one plain request is not enough.
    """

    name: str
    method: str = "GET"
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    call: Callable[[Side], httpx.Response] | None = None

    def send(self, side: Side) -> httpx.Response:
        """The answer of one side."""
        if self.call is not None:
            return self.call(side)
        return side.send(self.method, self.path, **self.options)


def _get(name: str, path: str, **options: Any) -> Case:
    return Case(name, "GET", path, options)


def _post(name: str, path: str, **options: Any) -> Case:
    return Case(name, "POST", path, options)


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


def _admin(
    method: str, name: str, path: str, json: Any = None, *, bearer: str = "{backend}", **more: Any
) -> Case:
    options: dict[str, Any] = {"bearer": bearer, **more}
    if json is not None:
        options["json"] = json
    return Case(f"admin: {name}", method, "{admin}" + path, options)


def _created(kind: str, body: dict[str, Any], *, name: str) -> Case:
    """Something that is made, and then read at the address that the answer names."""

    def call(side: Side) -> httpx.Response:
        made = side.send("POST", "{admin}/" + kind, bearer="{backend}", json=body)
        assert made.status_code == 201, made.text
        return side.send("GET", made.headers["location"], bearer="{backend}")

    return Case(name, call=call)


def _then(name: str, first: tuple[str, str, Any], method: str, path: str, **options: Any) -> Case:
    """What is there after a change to a user; `{0}` is the user's id."""

    def call(side: Side) -> httpx.Response:
        user = side.new_user(firstName="Grace", lastName="Hopper", attributes={"plan": ["gold"]})
        body = side.filled(first[2])
        changed = side.send(first[0], first[1].replace("{0}", user.id), bearer="{backend}", json=body)
        assert changed.status_code in (200, 204), changed.text
        return side.send(method, path.replace("{0}", user.id), **{"bearer": "{backend}", **options})

    return Case(f"admin: {name}", call=call)


def _discovery() -> Iterator[Case]:
    origin = {"origin": "http://localhost:3000"}
    for name, path in (
        ("discovery", "{realm}/.well-known/openid-configuration"),
        ("signing keys", "{protocol}/certs"),
        ("realm", "{realm}"),
    ):
        yield _get(name, path)
        yield _get(f"{name}, for a page", path, headers=origin)
        yield _get(f"{name}, below /auth", path.replace("{", "{auth ", 1))
        yield Case(f"{name}, posted", "POST", path)
    for path in ("", "/.well-known/openid-configuration", "/protocol/openid-connect/certs"):
        yield _get(f"unknown realm{path}", "{url}/realms/nobodys" + path)
    yield _get("nothing of a realm", "{realm}/nothing")
    yield _get("nothing of the protocol", "{protocol}/nothing")
    yield _get("nothing at all", "{url}/nothing")


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
    yield _get("token: read", "{protocol}/token")
    yield _post("token: nothing", "{protocol}/token")
    yield _post("token: JSON", "{protocol}/token", json={"grant_type": "password"})
    yield _post(
        "token: a parameter twice",
        "{protocol}/token",
        content="grant_type=password&client_id=jan-client&username=a&username=b&password=c",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    yield _post("token: an unknown realm", "{url}/realms/nobodys/protocol/openid-connect/token")
    for name, origin in (("a page", "http://localhost:3000"), ("a foreign page", "http://evil.example")):
        form = {
            "grant_type": "password",
            "client_id": "jan-client",
            "username": "{ada's address}",
            "password": PASSWORD,
        }
        yield _post(f"token: for {name}", "{protocol}/token", data=form, headers={"origin": origin})
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
    yield _post(
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
    yield _get("log-in page: an unknown realm", "{url}/realms/nobodys/protocol/openid-connect/auth")
    yield _log_in("a good password")
    yield _log_in("in a fragment", response_mode="fragment")
    yield _log_in("in a form", response_mode="form_post")
    yield _log_in("a wrong password", username="{new user's address}", password="wrong")
    yield _log_in("a disabled user", username="{disabled user's address}")
    yield Case("log-in: a browser that is logged in", call=_again)


def _inspections() -> Iterator[Case]:
    userinfo = "{protocol}/userinfo"
    yield _get("userinfo: a good token", userinfo, bearer="{access token}")
    yield _post("userinfo: posted", userinfo, bearer="{access token}")
    yield _post("userinfo: in a form", userinfo, data={"access_token": "{access token}"})
    yield _get("userinfo: jan-admin's token", userinfo, bearer="{access token of a script}")
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
        yield _get(f"userinfo: {name}", userinfo, bearer=token)
    yield _get("userinfo: no token", userinfo)
    yield _get("userinfo: a password", userinfo, auth=BACKEND)
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
        yield _post(f"introspection: {name}", introspect, data={"token": token}, auth=BACKEND)
    yield _post("introspection: no token", introspect, auth=BACKEND)
    yield _post("introspection: no client", introspect, data={"token": "x"})
    yield _post("introspection: a wrong secret", introspect, data={"token": "x"}, auth=("backend", "x"))
    yield _post("introspection: a public client", introspect, data={"token": "x", "client_id": "jan-client"})
    yield _get("introspection: read", introspect)


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
        yield _post(f"log-out: {name}", logout, data={"client_id": "jan-client", **form})
    yield _get("log-out: a browser without a log-in", logout)
    yield _post("log-out: nothing", logout)
    back = {"id_token_hint": "{id token}", "post_logout_redirect_uri": "http://localhost:3000/bye"}
    yield _get("log-out: a browser that is sent back", logout, params={**back, "state": "s"})
    yield _get(
        "log-out: a browser that is sent elsewhere",
        logout,
        params={**back, "post_logout_redirect_uri": "http://evil.example/"},
    )
    yield _get("log-out: a wrong hint", logout, params={**back, "id_token_hint": "nonsense"})
    yield _get("log-out: the older parameter", logout, params={"redirect_uri": "http://localhost:3000/bye"})
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
        yield _post(f"revocation: {name}", revoke, data={"client_id": "jan-client", **form})
    yield _get("revocation: read", revoke)


def _master() -> Iterator[Case]:
    form = {
        "grant_type": "password",
        "client_id": "admin-cli",
        "username": "{master user}",
        "password": "{master password}",
    }
    yield _post("master: a token", "{master}/token", data=form)
    yield _post("master: a wrong password", "{master}/token", data={**form, "password": "wrong"})
    yield _post("master: an unknown client", "{master}/token", data={**form, "client_id": "jan-client"})
    yield _admin("GET", "the master administrator sees users", "/users/{ada}", bearer="{master token}")
    yield _get("admin: all realms", "{url}/admin/realms", bearer="{backend}")
    yield _get("admin: an unknown realm", "{url}/admin/realms/nobodys/users", bearer="{master token}")
    yield _get("admin: a foreign realm", "{url}/admin/realms/master/users", bearer="{backend}")


def _rights() -> Iterator[Case]:
    for name, bearer in (
        ("no token", ""),
        ("nonsense", "nonsense"),
        ("an unsigned token", FORGED),
        ("a refresh token", "{refresh token}"),
        ("an id token", "{id token}"),
        ("an ended session", "{access token of nobody's session}"),
        ("a user", "{access token}"),
    ):
        yield _admin("GET", f"users for {name}", "/users", bearer=bearer)
    yield _admin("POST", "a new user from a user", "/users", {"email": "x@y.org"}, bearer="{access token}")
    yield _admin("GET", "an unknown user for a user", "/users/nobody", bearer="{access token}")
    yield _admin("GET", "clients for backend", "/clients")
    yield _admin("POST", "a new role from backend", "/roles", {"name": "another"})
    yield _admin("DELETE", "a role removed by backend", "/roles/guest")
    yield _admin("PUT", "the realm changed by backend", "", {"accessTokenLifespan": 10})
    yield _admin("GET", "the realm", "")
    yield _admin("GET", "nothing of the realm", "/nothing")


def _users() -> Iterator[Case]:
    yield _admin("GET", "a user", "/users/{ada}")
    yield _admin("GET", "a user, just made", "/users/{new user}")
    yield _admin("GET", "a user with the profile", "/users/{ada}?userProfileMetadata=true")
    for name, query in {
        "by address": "email=ada@compared.example",
        "by address, exactly": "email=ada@compared.example&exact=true",
        "by a part of the address": "email=ADA@compared",
        "by a part of the address, exactly": "email=ada@compared&exact=true",
        "by name": "username=ada@compared",
        "by first name": "firstName=ada",
        "by last name": "lastName=LOVE",
        "by search": "search=lovelace",
        "by exact search": "search=%22ada@compared.example%22",
        "by attribute": "q=pid:p-1",
        "by another attribute": "q=pid:nothing",
        "in brief": "email=ada@compared.example&briefRepresentation=true",
        "enabled": "search=lovelace&enabled=true",
        "disabled": "search=lovelace&enabled=false",
        "verified": "search=lovelace&emailVerified=true",
        "one": "search=lovelace&first=0&max=1",
        "beyond": "search=lovelace&first=50",
        "none": "search=nobody-has-this",
        "no number": "first=a",
        "a negative number": "search=lovelace&first=-1&max=-1",
        "no boolean": "search=lovelace&enabled=maybe",
    }.items():
        yield _admin("GET", f"users, {name}", f"/users?{query}")
    yield _admin("GET", "a count of users", "/users/count?search=lovelace")
    yield _admin("GET", "a count of no users", "/users/count?search=nobody-has-this")
    new = {"username": "somebody", "enabled": True}
    yield _admin("POST", "a new user", "/users", {**new, "email": "made-1@compared.example"})
    yield _admin("POST", "a user twice", "/users", {**new, "email": "{ada's address}"})
    yield _admin("POST", "a user without an address", "/users", {"username": "somebody"})
    yield _admin("POST", "a user without anything", "/users", {})
    yield _admin("POST", "a user with a wrong address", "/users", {"email": "no address"})
    yield _admin("POST", "a user that is no object", "/users", [])
    yield _admin("POST", "a user that is no JSON", "/users", content="{{", headers=_JSON)
    yield _admin("POST", "a user that is a form", "/users", data={"email": "x@y.org"})
    yield _admin("POST", "a user with an unknown member", "/users", {"email": "x@y.org", "colour": "red"})
    yield _admin("POST", "a user with a number for a name", "/users", {"email": "n@y.org", "firstName": 1})
    yield _admin("POST", "a user with a list for a name", "/users", {"email": "n@y.org", "firstName": ["x"]})
    yield _admin("POST", "a user in an unknown group", "/users", {"email": "g@y.org", "groups": ["/nobodys"]})
    yield _created(
        "users",
        {
            **new,
            "email": "made-2@compared.example",
            "firstName": "Alan",
            "lastName": "Turing",
            "emailVerified": True,
            "attributes": {"guest": ["true"], "several": ["b", "a"]},
            "requiredActions": ["UPDATE_PASSWORD"],
            "groups": ["/pilot_users"],
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        },
        name="admin: a user as it was made",
    )
    yield _created(
        "users", {"email": "made-3@compared.example"}, name="admin: a user that was made of an address"
    )
    user = "{admin}/users/{0}"
    yield _admin("PUT", "a user changed", "/users/{new user}", {"lastName": "Byron"})
    changes: dict[str, dict[str, Any]] = {
        "another last name": {"lastName": "Byron"},
        "no last name": {"lastName": ""},
        "another name": {"username": "chosen", "email": "{new user's address}x"},
        "other attributes": {"email": "changed-1@compared.example", "attributes": {"guest": ["false"]}},
        "no attributes": {"email": "changed-2@compared.example", "attributes": {}},
        "required actions": {"requiredActions": ["UPDATE_PASSWORD"]},
        "disabled": {"enabled": False},
        "verified": {"emailVerified": True},
    }
    for name, body in changes.items():
        yield _then(f"a user after a change: {name}", ("PUT", user, body), "GET", user)
    yield _admin("PUT", "attributes without an address", "/users/{new user}", {"attributes": {"a": ["b"]}})
    yield _admin("PUT", "somebody else's address", "/users/{new user}", {"email": "{ada's address}"})
    yield _admin("PUT", "a wrong address", "/users/{new user}", {"email": "no address"})
    yield _admin("PUT", "an unknown user changed", "/users/nobody", {"lastName": "x"})
    yield _admin("PUT", "a user changed to a list", "/users/{new user}", [])
    yield _admin("GET", "an unknown user", "/users/nobody")
    yield _admin("DELETE", "a user removed", "/users/{new user}")
    yield _admin("DELETE", "an unknown user removed", "/users/nobody")
    yield _then("a removed user", ("DELETE", user, None), "GET", user)
    yield _admin("POST", "a user posted to", "/users/{new user}", {})
    password = {"type": "password", "value": "another password", "temporary": False}
    reset = "/users/{new user}/reset-password"
    yield _admin("PUT", "a password reset", reset, password)
    yield _admin("PUT", "a temporary password", reset, {**password, "temporary": True})
    yield _then(
        "a user with a temporary password",
        ("PUT", f"{user}/reset-password", {**password, "temporary": True}),
        "GET",
        user,
    )
    yield _admin("PUT", "an empty password", reset, {**password, "value": ""})
    yield _admin("PUT", "no password", reset, {"type": "password"})
    yield _admin("PUT", "a password of no type", reset, {"value": "another password"})
    yield _admin("PUT", "a credential of another type", reset, {**password, "type": "otp"})
    yield _admin("PUT", "an unknown user's password", "/users/nobody/reset-password", password)
    yield _admin("GET", "credentials", "/users/{new user}/credentials")
    yield _admin("GET", "groups of a user", "/users/{ada}/groups")
    yield _admin("GET", "groups of a user in full", "/users/{ada}/groups?briefRepresentation=false")
    yield _admin("GET", "a count of groups of a user", "/users/{ada}/groups/count")
    yield _admin("GET", "groups of an unknown user", "/users/nobody/groups")
    yield _admin("PUT", "a group joined", "/users/{new user}/groups/{group pilot_users}")
    yield _admin("PUT", "a group joined again", "/users/{ada}/groups/{group pilot_users}")
    yield _admin("PUT", "an unknown group joined", "/users/{new user}/groups/nobodys")
    yield _admin("DELETE", "a group left", "/users/{new user}/groups/{group standard}")
    yield _admin("DELETE", "a group left by a stranger", "/users/{new user}/groups/{group pilot_users}")
    yield _admin("DELETE", "an unknown group left", "/users/{new user}/groups/nobodys")
    yield _admin("PUT", "a group joined by nobody", "/users/nobody/groups/{group standard}")
    yield _admin("GET", "sessions of nobody", "/users/nobody/sessions")
    yield _admin("GET", "no sessions", "/users/{new user}/sessions")
    yield _admin("POST", "a user logged out", "/users/{new user}/logout")
    yield _admin("POST", "an unknown user logged out", "/users/nobody/logout")
    yield _admin("DELETE", "a session ended", "/sessions/{new session}")
    yield _admin("DELETE", "an unknown session ended", "/sessions/nothing")
    yield Case("admin: sessions", call=_sessions)


def _sessions(side: Side) -> httpx.Response:
    user = side.new_user()
    side.tokens(user)
    return side.send("GET", f"{{admin}}/users/{user.id}/sessions", bearer="{backend}")


def _roles() -> Iterator[Case]:
    roles = "/users/{new user}/role-mappings/realm"
    guest = {"id": "{role guest}", "name": "guest"}
    yield _admin("GET", "roles", "/roles")
    yield _admin("GET", "roles in full", "/roles?briefRepresentation=false")
    yield _admin("GET", "roles by search", "/roles?search=adm")
    yield _admin("GET", "a role", "/roles/guest")
    yield _admin("GET", "an unknown role", "/roles/nobodys")
    yield _admin("GET", "a role by its id", "/roles-by-id/{role guest}")
    yield _admin("GET", "users with a role", "/roles/user/users?max=1")
    yield _admin("GET", "users with an unknown role", "/roles/nobodys/users")
    yield _admin("GET", "roles of a user", "/users/{ada}/role-mappings/realm")
    yield _admin("GET", "all roles of a user", "/users/{ada}/role-mappings/realm/composite")
    yield _admin("GET", "roles that a user may get", "/users/{ada}/role-mappings/realm/available")
    yield _admin("GET", "roles of every kind of a user", "/users/{ada}/role-mappings")
    yield _admin("GET", "roles of an unknown user", "/users/nobody/role-mappings/realm")
    yield _admin("POST", "a role given", roles, [guest])
    yield _admin("POST", "a role given by its name", roles, [{"name": "guest"}])
    yield _admin("POST", "a role given by its id", roles, [{"id": "{role guest}"}])
    yield _admin("POST", "a role given again", "/users/{ada}/role-mappings/realm", [
        {"id": "{role user}", "name": "user"}
    ])  # fmt: skip
    yield _admin("POST", "no role given", roles, [])
    yield _admin("POST", "an unknown role given", roles, [{"id": "nobodys", "name": "nobodys"}])
    yield _admin("POST", "a role given as an object", roles, guest)
    yield _admin("POST", "a role given to nobody", "/users/nobody/role-mappings/realm", [guest])
    yield _admin("DELETE", "a role taken", roles, [guest])
    yield _admin("DELETE", "an unknown role taken", roles, [{"id": "nobodys", "name": "nobodys"}])
    master = "{master token}"
    yield _admin("POST", "a new role", "/roles", {"name": "compared", "description": "x"}, bearer=master)
    yield _admin("POST", "a role twice", "/roles", {"name": "guest"}, bearer=master)
    yield _admin("POST", "a role without a name", "/roles", {}, bearer=master)
    yield _admin("PUT", "an unknown role changed", "/roles/nobodys", {"name": "nobodys"}, bearer=master)
    yield _admin("DELETE", "a role removed", "/roles/compared", bearer=master)
    yield _admin("DELETE", "an unknown role removed", "/roles/nobodys", bearer=master)


def _groups() -> Iterator[Case]:
    group = "/groups/{new group}"
    yield _admin("GET", "groups", "/groups?search=standard")
    yield _admin("GET", "groups in full", "/groups?search=pilot_users&briefRepresentation=false")
    yield _admin("GET", "groups by exact search", "/groups?search=pilot&exact=true")
    yield _admin("GET", "groups beyond", "/groups?first=1000")
    yield _admin("GET", "groups, no number", "/groups?max=a")
    yield _admin("GET", "a count of groups", "/groups/count?search=pilot")
    yield _admin("GET", "a group", "/groups/{group pilot_users}")
    yield _admin("GET", "an unknown group", "/groups/nobodys")
    yield _admin("GET", "a group by its path", "/group-by-path/pilot_users")
    yield _admin("GET", "an unknown path", "/group-by-path/nobodys")
    yield _admin("GET", "members", "/groups/{group pilot_users}/members?max=1")
    yield _admin(
        "GET", "members in full", "/groups/{group pilot_users}/members?max=1&briefRepresentation=false"
    )
    yield _admin("GET", "no members", f"{group}/members")
    yield _admin("GET", "members of an unknown group", "/groups/nobodys/members")
    yield _admin("GET", "no children", f"{group}/children")
    yield _admin("POST", "a new group", "/groups", {"name": "compared", "attributes": {"a": ["b"]}})
    yield _created(
        "groups",
        {"name": "made", "attributes": {"feature_flags": ["x"]}},
        name="admin: a group as it was made",
    )
    yield _admin("POST", "a group twice", "/groups", {"name": "standard"})
    yield _admin("POST", "a group without a name", "/groups", {})
    yield _admin("POST", "a group with an empty name", "/groups", {"name": ""})
    yield _admin("POST", "a group that is no object", "/groups", [])
    yield _admin("POST", "a child", f"{group}/children", {"name": "child"})
    yield _admin("POST", "a child of nothing", "/groups/nobodys/children", {"name": "child"})
    yield _admin("PUT", "a group changed", group, {"name": "changed", "attributes": {"a": ["b"]}})
    yield _admin("PUT", "a group changed to another's name", group, {"name": "standard"})
    yield _admin("PUT", "a group without its name", group, {"attributes": {"a": ["b"]}})
    yield _admin("PUT", "an unknown group changed", "/groups/nobodys", {"name": "x"})
    yield _admin("DELETE", "a group removed", group)
    yield _admin("DELETE", "an unknown group removed", "/groups/nobodys")
    yield _admin("GET", "default groups", "/default-groups")


_JSON = {"content-type": "application/json"}

CASES = tuple(
    case
    for section in (
        _discovery,
        _passwords,
        _token_endpoint,
        _refreshes,
        _codes,
        _browsers,
        _inspections,
        _ends,
        _master,
        _rights,
        _users,
        _roles,
        _groups,
    )
    for case in section()
)

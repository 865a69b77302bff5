"""Requests to the admin API, and for the token of the master realm's administrator that opens it.

Texts in braces are values of `side.py`, made on either server when the request is sent.
Source: contract/identity.md, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

from tests.identity.server import PASSWORD
from tests.keycloak.comparison.case import FORGED, Case, get, post
from tests.keycloak.comparison.side import Side

_JSON = {"content-type": "application/json"}


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


def _master() -> Iterator[Case]:
    form = {
        "grant_type": "password",
        "client_id": "admin-cli",
        "username": "{master user}",
        "password": "{master password}",
    }
    yield post("master: a token", "{master}/token", data=form)
    yield post("master: a wrong password", "{master}/token", data={**form, "password": "wrong"})
    yield post("master: an unknown client", "{master}/token", data={**form, "client_id": "jan-client"})
    yield _admin("GET", "the master administrator sees users", "/users/{ada}", bearer="{master token}")
    yield get("admin: all realms", "{url}/admin/realms", bearer="{backend}")
    yield get("admin: an unknown realm", "{url}/admin/realms/nobodys/users", bearer="{master token}")
    yield get("admin: a foreign realm", "{url}/admin/realms/master/users", bearer="{backend}")


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


CASES = tuple(case for section in (_master, _rights, _users, _roles, _groups) for case in section())

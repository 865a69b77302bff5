"""What separates a realm on a Keycloak from the realm file, and the call that closes each gap.

The file decides about the realm's settings, its clients, client scopes, mappers and its signing key. Roles,
groups and users it only adds: what administrators make of them stays, as with the embedded issuer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from jan_server.identity.keycloak.key_rotation import use_key
from jan_server.identity.keycloak.realm_server import RealmServer
from jan_server.identity.keys import key_id, read_private_key
from jan_server.identity.realm_file import KEY_PROVIDER

_OWN_STEPS = frozenset(
    {
        "realm",
        "roles",
        "groups",
        "defaultGroups",
        "clientScopes",
        "defaultDefaultClientScopes",
        "defaultOptionalClientScopes",
        "clients",
        "users",
        "components",
        "requiredActions",
    }
)
"""Members of the file that are compared in a way of their own."""

_CLIENT_STEPS = frozenset({"protocolMappers", "defaultClientScopes", "optionalClientScopes"})
_SECRET = frozenset({"secret"})
_PROFILE = "org.keycloak.userprofile.UserProfileProvider"

Representation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One gap between file and server.

    Attributes:
        place: Where it is, for example `client jan-client: redirectUris`.
        wanted: What the file says, as JSON; secrets are masked.
        found: What the server has; empty when it has nothing there.
        apply: Makes the server as the file says.
    """

    place: str
    wanted: str
    found: str
    apply: Callable[[], None]

    def __str__(self) -> str:
        if not self.found:
            return f"{self.place}: added"
        return f"{self.place}: {self.found} → {self.wanted}"


def changes(server: RealmServer, file: Representation) -> Iterator[Change]:
    """Every gap, in an order in which they can be closed; what follows is read once it is asked for.

    Close each before the next is taken: a client scope must be there before a client can have it.

    Raises:
        RealmServerError: The server refused a look.
    """
    if not server.exists():
        yield Change(f"realm {server.realm}", "", "", partial(server.create, file))
    yield from _realm(server, file)
    yield from _required_actions(server, file.get("requiredActions", ()))
    yield from _signing_key(server, file)
    yield from _user_profile(server, file)
    yield from _roles(server, file.get("roles", {}).get("realm", ()))
    yield from _groups(server, file)
    yield from _scopes(server, file)
    yield from _clients(server, file.get("clients", ()))
    yield from _users(server, file.get("users", ()))


def _realm(server: RealmServer, file: Representation) -> Iterator[Change]:
    found = server.get("")
    for name, wanted in file.items():
        if name in _OWN_STEPS or _is_part(wanted, found.get(name)):
            continue
        yield _change(f"realm: {name}", wanted, found.get(name), _putter(server, "", {name: wanted}))


def _required_actions(server: RealmServer, wanted: Sequence[Representation]) -> Iterator[Change]:
    found = {action["alias"]: action for action in server.get("/authentication/required-actions")}
    for action in wanted:
        alias, present = action["alias"], found.get(action["alias"])
        # An action that this server does not know cannot be made there.
        if present is None or present["enabled"] == action["enabled"]:
            continue
        body = {**present, "enabled": action["enabled"]}
        path = f"/authentication/required-actions/{alias}"
        yield _change(
            f"required action {alias}: enabled",
            action["enabled"],
            present["enabled"],
            _putter(server, path, body),
        )


def _signing_key(server: RealmServer, file: Representation) -> Iterator[Change]:
    """Keycloak never shows a private key: the names of the public ones tell whether it has ours."""
    for component in file.get("components", {}).get(KEY_PROVIDER, ()):
        if component["providerId"] != "rsa":
            continue
        kid = key_id(read_private_key(component["config"]["privateKey"][0]).public_key())
        published = server.get("/keys")
        if published.get("active", {}).get("RS256") == kid:
            return
        yield Change("signing key", kid, "", partial(use_key, server, component, kid))


def _user_profile(server: RealmServer, file: Representation) -> Iterator[Change]:
    for component in file.get("components", {}).get(_PROFILE, ()):
        wanted = orjson.loads(component["config"]["kc.user.profile.config"][0])
        found = server.get("/users/profile")
        if not _is_part(wanted, found):
            yield _change("user profile", wanted, found, _putter(server, "/users/profile", wanted))


def _roles(server: RealmServer, wanted: Sequence[Representation]) -> Iterator[Change]:
    found = {role["name"] for role in server.all("/roles")}
    for role in wanted:
        if role["name"] not in found:
            yield Change(f"role {role['name']}", role["name"], "", _poster(server, "/roles", role))


def _groups(server: RealmServer, file: Representation) -> Iterator[Change]:
    found = {group["name"] for group in server.all("/groups")}
    for group in file.get("groups", ()):
        if group["name"] not in found:
            yield Change(f"group /{group['name']}", group["name"], "", _poster(server, "/groups", group))
    present = {group["path"] for group in server.get("/default-groups")}
    for path in file.get("defaultGroups", ()):
        if path not in present:
            yield Change(f"default group {path}", path, "", partial(_make_default, server, path))


def _make_default(server: RealmServer, path: str) -> None:
    group = server.get(f"/group-by-path/{path.strip('/')}")
    server.put(f"/default-groups/{group['id']}")


def _scopes(server: RealmServer, file: Representation) -> Iterator[Change]:
    found = {scope["name"]: scope for scope in server.get("/client-scopes")}
    for scope in file.get("clientScopes", ()):
        name, present = scope["name"], found.get(scope["name"])
        if present is None:
            yield Change(f"client scope {name}", name, "", _poster(server, "/client-scopes", scope))
            continue
        path = f"/client-scopes/{present['id']}"
        own = {key: value for key, value in scope.items() if key != "protocolMappers"}
        yield from _members(server, f"client scope {name}", path, own, present)
        yield from _mappers(server, f"client scope {name}", path, scope, present)
    for kind in ("Default", "Optional"):
        path = f"/default-{kind.lower()}-client-scopes"
        wanted = file.get(f"default{kind}ClientScopes", ())
        yield from _attached(server, f"{kind.lower()} scope", path, wanted, strict=False)


def _clients(server: RealmServer, wanted: Sequence[Representation]) -> Iterator[Change]:
    for client in wanted:
        name = client["clientId"]
        found = server.get("/clients", clientId=name)
        if not found:
            yield Change(f"client {name}", name, "", _poster(server, "/clients", client))
            continue
        present, place = found[0], f"client {name}"
        path = f"/clients/{present['id']}"
        own = {key: value for key, value in client.items() if key not in _CLIENT_STEPS}
        yield from _members(server, place, path, own, present)
        yield from _mappers(server, place, path, client, present)
        for kind in ("default", "optional"):
            scopes = f"{path}/{kind}-client-scopes"
            names = client.get(f"{kind}ClientScopes", ())
            yield from _attached(server, f"{place}: {kind} scope", scopes, names, strict=True)


def _members(
    server: RealmServer, place: str, path: str, wanted: Representation, found: Representation
) -> Iterator[Change]:
    for name, value in wanted.items():
        if not _is_part(value, found.get(name)):
            merged = {**found.get(name, {}), **value} if isinstance(value, dict) else value

            def apply(name: str = name, merged: Any = merged) -> None:
                # Keycloak takes what is left out of a client for its default: send what there is.
                server.put(path, {**server.get(path), name: merged})

            yield _change(f"{place}: {name}", value, found.get(name), apply, secret=name in _SECRET)


def _mappers(
    server: RealmServer, place: str, path: str, wanted: Representation, found: Representation
) -> Iterator[Change]:
    present = {mapper["name"]: mapper for mapper in found.get("protocolMappers", ())}
    models = f"{path}/protocol-mappers/models"
    for mapper in wanted.get("protocolMappers", ()):
        name, old = mapper["name"], present.get(mapper["name"])
        if old is None:
            yield Change(f"{place}: mapper {name}", name, "", _poster(server, models, mapper))
        elif not _is_part(mapper, old):
            body = {**old, **mapper, "config": {**old.get("config", {}), **mapper["config"]}}
            put = _putter(server, f"{models}/{old['id']}", body)
            yield _change(f"{place}: mapper {name}", mapper["config"], old.get("config"), put)


def _attached(
    server: RealmServer, place: str, path: str, wanted: Sequence[str], *, strict: bool
) -> Iterator[Change]:
    """Client scopes that are attached to a client or to the realm; `strict` takes further ones off."""
    present = {scope["name"]: scope["id"] for scope in server.get(path)}
    for name in wanted:
        if name not in present:
            yield Change(f"{place} {name}", name, "", partial(_attach, server, path, name))
    # Keycloak attaches these by itself where a feature asks for them.
    for name in set(present) - set(wanted) - {"service_account", "organization"} if strict else ():
        remove = f"{path}/{present[name]}"
        yield Change(f"{place} {name}", "removed", "attached", partial(server.delete, remove))


def _attach(server: RealmServer, path: str, name: str) -> None:
    scope = next(scope for scope in server.get("/client-scopes") if scope["name"] == name)
    server.put(f"{path}/{scope['id']}")


def _users(server: RealmServer, wanted: Sequence[Representation]) -> Iterator[Change]:
    for user in wanted:
        client = user.get("serviceAccountClientId")
        if client:
            yield from _service_account(server, client, user.get("clientRoles", {}))
            continue
        # Where the e-mail is the username, Keycloak stored the one as the other.
        names = {"username": user["username"]}, {"email": user["email"]}
        if not any(server.get("/users", exact="true", **name) for name in names):
            yield Change(f"user {user['username']}", user["username"], "", partial(_add_user, server, user))


def _service_account(
    server: RealmServer, client: str, wanted: Mapping[str, Sequence[str]]
) -> Iterator[Change]:
    found = server.get("/clients", clientId=client)
    account = server.get(f"/clients/{found[0]['id']}/service-account-user")
    for owner, roles in wanted.items():
        holder = server.get("/clients", clientId=owner)[0]["id"]
        path = f"/users/{account['id']}/role-mappings/clients/{holder}"
        present = {role["name"]: role for role in server.get(path)}
        for name in roles:
            if name not in present:

                def add(name: str = name, path: str = path, holder: str = holder) -> None:
                    server.post(path, [server.get(f"/clients/{holder}/roles/{name}")])

                yield Change(f"right of {client}: {owner} {name}", name, "", add)


def _add_user(server: RealmServer, user: Representation) -> None:
    body = {name: value for name, value in user.items() if name not in ("realmRoles", "groups")}
    user_id = server.post("/users", body)
    roles = {role["name"]: role for role in server.all("/roles")}
    wanted = [roles[name] for name in user.get("realmRoles", ()) if name in roles]
    server.post(f"/users/{user_id}/role-mappings/realm", wanted)
    for path in user.get("groups", ()):
        group = server.get(f"/group-by-path/{path.strip('/')}")
        server.put(f"/users/{user_id}/groups/{group['id']}")


def _change(
    place: str, wanted: Any, found: Any, apply: Callable[[], None], *, secret: bool = False
) -> Change:
    if secret:
        return Change(place, "another one", "one", apply)
    return Change(place, _text(wanted), _text(found), apply)


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _putter(server: RealmServer, path: str, body: Any) -> Callable[[], None]:
    return partial(server.put, path, body)


def _poster(server: RealmServer, path: str, body: Any) -> Callable[[], None]:
    def apply() -> None:
        server.post(path, body)

    return apply


def _is_part(wanted: Any, found: Any) -> bool:
    """Whether the server has what the file says; what the server has besides does not matter."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            _is_part(value, found.get(key)) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        if all(isinstance(entry, str) for entry in wanted):
            return sorted(wanted) == sorted(map(str, found))
        return all(map(_is_part, wanted, found))
    # Keycloak leaves out what is empty or off.
    return bool(wanted == found or (found is None and wanted in ("", False)))

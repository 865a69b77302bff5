"""The realm is made what the realm file says, whatever became of it, and no more is touched than differs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from jan_server.identity.keycloak.drift import Change, changes
from jan_server.identity.keycloak.realm_server import Administrator, RealmServer, RealmServerError
from jan_server.identity.keys import key_id, new_private_key, private_pem
from jan_server.identity.realm_file import read_realm_file
from jan_server.settings.tree import Settings
from tests.identity.server import IdentityServer


@pytest.fixture
def file(identity_server: IdentityServer) -> Iterator[dict[str, Any]]:
    yield read_realm_file(identity_server.settings)


def close(realm: RealmServer, file: dict[str, Any]) -> list[str]:
    """Close every gap; the places of all that were there."""
    made: list[str] = []
    for change in changes(realm, file):
        change.apply()
        made.append(change.place)
    return made


def test_an_imported_realm_has_no_gap(realm: RealmServer, file: dict[str, Any]) -> None:
    assert list(changes(realm, file)) == []


def test_a_realm_that_is_not_there_is_made_whole(administrator: Administrator, file: dict[str, Any]) -> None:
    other = RealmServer(administrator, "another")
    named = {**file, "realm": "another"}
    # A user belongs to the realm of the file by name; the roles of a new realm have its own.
    named["users"] = [user for user in copy.deepcopy(file["users"]) if "serviceAccountClientId" in user]
    try:
        assert close(other, named) == ["realm another"]
        assert close(other, named) == []
    finally:
        other.delete("")


def test_every_kind_of_gap_is_found_and_closed(realm: RealmServer, file: dict[str, Any]) -> None:
    client = realm.get("/clients", clientId="jan-client")[0]
    backend = realm.get("/clients", clientId="backend")[0]
    mapper = next(each for each in client["protocolMappers"] if each["name"] == "feature_flags")
    scope = next(each for each in realm.get("/client-scopes") if each["name"] == "email")
    account = realm.get(f"/clients/{backend['id']}/service-account-user")
    management = realm.get("/clients", clientId="realm-management")[0]["id"]
    rights = f"/users/{account['id']}/role-mappings/clients/{management}"

    realm.put("", {"accessTokenLifespan": 60})
    realm.put(f"/clients/{client['id']}", {**client, "redirectUris": ["http://elsewhere/*"]})
    realm.put(f"/clients/{backend['id']}", {**backend, "secret": "another"})
    realm.delete(f"/clients/{client['id']}/protocol-mappers/models/{mapper['id']}")
    realm.delete(f"/clients/{client['id']}/default-client-scopes/{scope['id']}")
    realm._call(
        "raw_delete", f"/admin/realms/jan{rights}", [realm.get(f"/clients/{management}/roles/view-users")]
    )
    realm.delete("/roles/guest")

    gaps = [str(change) for change in changes(realm, file)]
    assert all("another" not in gap or "secret" in gap for gap in gaps)
    made = close(realm, file)

    assert {
        "realm: accessTokenLifespan",
        "client jan-client: redirectUris",
        "client backend: secret",
        "client jan-client: mapper feature_flags",
        "client jan-client: default scope email",
        "right of backend: realm-management view-users",
        "role guest",
    } <= set(made)
    assert list(changes(realm, file)) == []


def test_what_administrators_made_of_groups_and_roles_stays(realm: RealmServer, file: dict[str, Any]) -> None:
    group = realm.get("/group-by-path/pilot_users")
    realm.put(f"/groups/{group['id']}", {**group, "attributes": {"feature_flags": ["their_own"]}})
    try:
        assert close(realm, file) == []
        assert realm.get("/group-by-path/pilot_users")["attributes"] == {"feature_flags": ["their_own"]}
    finally:
        realm.put(f"/groups/{group['id']}", group)


def test_a_new_signing_key_signs_and_the_old_one_goes_on_verifying(
    identity_server: IdentityServer, realm: RealmServer, file: dict[str, Any]
) -> None:
    old = identity_server.log_in(identity_server.new_user())["access_token"]
    key = new_private_key()
    renewed = settings_with_key(identity_server.settings, private_pem(key))

    made = close(realm, read_realm_file(renewed))

    assert made == ["signing key"]
    assert realm.get("/keys")["active"]["RS256"] == key_id(key.public_key())
    assert identity_server.claims(old)["azp"] == "jan-client"
    fresh = identity_server.log_in(identity_server.new_user())["access_token"]
    assert identity_server.claims(fresh)["azp"] == "jan-client"
    assert close(realm, file) == ["signing key"], "and back to the first one"
    assert identity_server.claims(fresh)["azp"] == "jan-client"
    assert list(changes(realm, file)) == []


def settings_with_key(settings: Settings, pem: str) -> Settings:
    identity = settings.identity.model_copy(update={"signing_key": SecretStr(pem)})
    return settings.model_copy(update={"identity": identity})


def test_a_wrong_password_is_told_in_keycloaks_words(identity_server: IdentityServer) -> None:
    with pytest.raises(RealmServerError, match="Invalid user credentials") as refused:
        RealmServer(Administrator(identity_server.url, "admin", "wrong"), "jan")
    # 26.7 answers 400, as RFC 6749 has it for this grant; those before it, 401.
    assert refused.value.status in (400, 401)


def test_changes_are_told_apart_for_people() -> None:
    assert str(Change("role admin", "admin", "", lambda: None)) == "role admin: added"
    assert str(Change("realm: enabled", "true", "false", lambda: None)) == "realm: enabled: false → true"

"""The realm of a real Keycloak is written as a realm file, and makes the same realm elsewhere."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from jan_server.identity.keycloak.drift import changes
from jan_server.identity.keycloak.realm_export import MASK, export_realm
from jan_server.identity.keycloak.realm_server import Administrator, RealmServer
from jan_server.identity.realm_file import read_realm_file
from tests.identity.server import IdentityServer


def test_what_was_exported_makes_the_same_realm(
    identity_server: IdentityServer, administrator: Administrator, realm: RealmServer
):
    name = f"copy-{uuid.uuid4().hex[:8]}"
    realm.put("", {"displayName": "Changed by an administrator"})
    realm.post("/groups", {"name": name, "attributes": {"feature_flags": ["theirs"]}})
    realm.post("/clients", {"clientId": f"client-{name}", "secret": "not to be seen", "publicClient": False})

    exported, left_out = export_realm(realm)

    assert MASK not in str(exported)
    assert "not to be seen" not in str(exported)
    assert f"the secret at clients[client-{name}].secret" in left_out
    other = RealmServer(administrator, name)
    other.create({**copy.deepcopy(exported), "realm": name})
    try:
        assert other.get(f"/group-by-path/{name}")["attributes"] == {"feature_flags": ["theirs"]}
        assert other.get("/clients", clientId=f"client-{name}")
        file: dict[str, Any] = read_realm_file(identity_server.settings)
        file["realm"] = name
        gaps = [change.place for change in changes(other, file)]
        assert gaps == ["realm: displayName", "signing key", "client backend: secret", "user admin"]
    finally:
        other.delete("")
        realm.put("", {"displayName": read_realm_file(identity_server.settings)["displayName"]})

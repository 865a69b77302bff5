"""A team outgrows the embedded issuer: at Keycloak everybody still has their conversations and keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from keycloak import KeycloakAdmin

from tests.identity.server import BACKEND_SECRET, PASSWORD, IdentityServer
from tests.running_stack import StackHome, make_home, own_folder, stop

PERSON = "outgrower@example.org"


@pytest.fixture
def stack(home_template: Path, identity_server: IdentityServer) -> Iterator[StackHome]:
    """A platform that browsers reach at the address that the Keycloak has later."""
    with own_folder() as folder:
        made = make_home(
            home_template,
            folder,
            KEYCLOAK_PUBLIC_URL=identity_server.url,
            BACKEND_CLIENT_SECRET=BACKEND_SECRET,
            JAN_RATE_LIMITS_ENABLED="false",
        )
        yield made
        stop(made)


def token_at(issuer: str) -> dict[str, str]:
    """The header of somebody who logged in with the password that the embedded issuer was given."""
    form = {"grant_type": "password", "client_id": "jan-client", "username": PERSON, "password": PASSWORD}
    answer = httpx.post(f"{issuer}/realms/jan/protocol/openid-connect/token", data=form, timeout=60)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.timeout(400)
def test_conversations_and_keys_are_there_after_the_move(
    stack: StackHome, identity_server: IdentityServer, tmp_path: Path
):
    stack.must("up", "-d", "gateway")
    password = stack.must("config", "get", "KEYCLOAK_ADMIN_PASSWORD", "--reveal").strip()
    admin = KeycloakAdmin(
        stack.url("identity"), username="admin", password=password, realm_name="jan", user_realm_name="master"
    )
    admin.create_user(
        {"email": PERSON, "enabled": True, "credentials": [{"type": "password", "value": PASSWORD}]}
    )
    with httpx.Client(base_url=stack.url("gateway"), timeout=60) as caller:
        before = token_at(stack.url("identity"))
        me = caller.get("/auth/me", headers=before).json()
        conversation = caller.post("/v1/conversations", json={}, headers=before).json()["id"]
        key = caller.post("/auth/api-keys", json={"name": "kept"}, headers=before).json()["key"]
    file = tmp_path / "users.json"
    stack.must("identity", "users", "export", str(file))
    stack.must("down")

    stack.environment.update(
        JAN_IDENTITY_MODE="keycloak",
        KEYCLOAK_BASE_URL=identity_server.url,
        KEYCLOAK_ADMIN=identity_server.master_user,
        KEYCLOAK_ADMIN_PASSWORD=identity_server.master_password,
    )
    stack.must("up", "-d", "gateway")
    assert "keycloak: 1 user added" in stack.must("identity", "users", "import", str(file))

    with httpx.Client(base_url=stack.url("gateway"), timeout=60) as caller:
        by_key = {"Authorization": f"Bearer {key}"}
        for headers in (token_at(identity_server.url), by_key):
            now = caller.get("/auth/me", headers=headers).json()
            assert {name: now[name] for name in ("subject", "email")} == {
                name: me[name] for name in ("subject", "email")
            }
            assert caller.get(f"/v1/conversations/{conversation}", headers=headers).status_code == 200

"""The admin API's clients and the realm itself, as an administrator uses them."""

import uuid

import pytest
from keycloak.exceptions import KeycloakAuthenticationError, KeycloakGetError, KeycloakPostError

from tests.identity.server import BACKEND_SECRET, IdentityServer


def test_the_clients_of_the_realm_file_are_there(identity_server: IdentityServer):
    admin = identity_server.master_admin()
    clients = {one["clientId"]: one for one in admin.get_clients()}
    backend, people, scripts = clients["backend"], clients["jan-client"], clients["jan-admin"]
    assert backend["publicClient"] is False
    assert backend["serviceAccountsEnabled"] is True
    assert backend["standardFlowEnabled"] is False
    assert admin.get_client_secrets(backend["id"])["value"] == BACKEND_SECRET
    assert people["publicClient"] is True
    assert people["standardFlowEnabled"] is True
    assert people["implicitFlowEnabled"] is False
    assert people["attributes"]["pkce.code.challenge.method"] == "S256"
    assert "http://localhost:3000/*" in people["redirectUris"]
    assert "http://localhost:8000/auth/callback" in people["redirectUris"]
    assert scripts["publicClient"] is True
    assert scripts["standardFlowEnabled"] is False
    assert scripts["redirectUris"] == []
    assert {mapper["name"] for mapper in people["protocolMappers"]} == {
        "preferred_username",
        "guest",
        "pid",
        "groups",
        "feature_flags",
        "realm roles",
        "email_verified",
    }
    assert {mapper["name"] for mapper in scripts["protocolMappers"]} == {
        mapper["name"] for mapper in people["protocolMappers"]
    }


def test_a_confidential_client_lives_and_dies(identity_server: IdentityServer):
    admin = identity_server.master_admin()
    name = f"client-{uuid.uuid4().hex[:8]}"
    client_id = admin.create_client(
        {"clientId": name, "serviceAccountsEnabled": True, "redirectUris": ["http://app.example/*"]}
    )
    with pytest.raises(KeycloakPostError) as refusal:
        admin.create_client({"clientId": name})
    assert refusal.value.response_code == 409
    found = admin.get_client(client_id)
    assert found["clientId"] == name
    assert found["redirectUris"] == ["http://app.example/*"]
    assert {"profile", "email", "roles"} <= set(found["defaultClientScopes"])
    secret = admin.get_client_secrets(client_id)["value"]
    openid = identity_server.openid(name, secret)
    assert openid.token(grant_type="client_credentials")["access_token"]
    account = admin.get_client_service_account_user(client_id)
    assert account["username"] == f"service-account-{name}"
    # A new secret makes the old one worthless.
    renewed = admin.generate_client_secrets(client_id)["value"]
    assert renewed != secret
    with pytest.raises(KeycloakAuthenticationError):
        openid.token(grant_type="client_credentials")
    assert identity_server.openid(name, renewed).token(grant_type="client_credentials")
    admin.update_client(client_id, {"clientId": name, "enabled": False})
    with pytest.raises(KeycloakAuthenticationError):
        identity_server.openid(name, renewed).token(grant_type="client_credentials")
    admin.delete_client(client_id)
    with pytest.raises(KeycloakGetError) as refusal:
        admin.get_client(client_id)
    assert refusal.value.response_code == 404


def test_scopes_are_given_to_a_client(identity_server: IdentityServer):
    admin = identity_server.master_admin()
    name = f"client-{uuid.uuid4().hex[:8]}"
    client_id = admin.create_client({"clientId": name, "serviceAccountsEnabled": True})
    groups = admin.get_client_scope_by_name("groups")
    assert groups["protocolMappers"][0]["protocolMapper"] == "oidc-group-membership-mapper"
    admin.add_client_default_client_scope(client_id, groups["id"], {})
    assert "groups" in [scope["name"] for scope in admin.get_client_default_client_scopes(client_id)]
    secret = admin.get_client_secrets(client_id)["value"]
    token = identity_server.openid(name, secret).token(grant_type="client_credentials")
    assert "groups" in token["scope"].split()
    admin.delete_client_default_client_scope(client_id, groups["id"])
    assert "groups" not in [scope["name"] for scope in admin.get_client_default_client_scopes(client_id)]
    admin.delete_client(client_id)


def test_the_realm_has_the_settings_of_the_contract(identity_server: IdentityServer):
    realm = identity_server.master_admin().get_realm("jan")
    expected = {
        "registrationAllowed": True,
        "registrationEmailAsUsername": True,
        "loginWithEmailAllowed": True,
        "duplicateEmailsAllowed": False,
        "rememberMe": True,
        "resetPasswordAllowed": False,
        "verifyEmail": False,
        "editUsernameAllowed": False,
        "accessTokenLifespan": 3600,
        "accessTokenLifespanForImplicitFlow": 900,
        "ssoSessionIdleTimeout": 2_592_000,
        "ssoSessionMaxLifespan": 2_592_000,
        "offlineSessionIdleTimeout": 2_592_000,
        "offlineSessionMaxLifespan": 5_184_000,
        "accessCodeLifespan": 60,
        "accessCodeLifespanUserAction": 300,
        "accessCodeLifespanLogin": 1800,
        "actionTokenGeneratedByAdminLifespan": 43_200,
        "actionTokenGeneratedByUserLifespan": 300,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
    }
    assert {name: realm[name] for name in expected} == expected
    assert realm["attributes"]["tokenExchangeEnabled"] == "true"


def test_a_change_of_the_realm_counts_at_once(identity_server: IdentityServer):
    admin = identity_server.master_admin()
    backend = identity_server.backend()
    client_id = admin.get_client_id("backend")
    attributes = admin.get_client(client_id)["attributes"]
    admin.update_client(
        client_id, {"clientId": "backend", "attributes": {**attributes, "access.token.lifespan": "77"}}
    )
    try:
        assert backend.token(grant_type="client_credentials")["expires_in"] == 77
    finally:
        admin.update_client(
            client_id, {"clientId": "backend", "attributes": {**attributes, "access.token.lifespan": "300"}}
        )


def test_the_keys_of_the_realm_are_shown_without_their_private_parts(identity_server: IdentityServer):
    keys = identity_server.master_admin().get_keys()
    active = keys["active"]["RS256"]
    shown = next(key for key in keys["keys"] if key["kid"] == active)
    assert shown["status"] == "ACTIVE"
    assert shown["publicKey"]
    assert "privateKey" not in shown

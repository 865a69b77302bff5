"""The realm file: filled in from the settings, without a secret or an address of its own."""

import json
from pathlib import Path

import pytest

from jan_server.identity.keys import read_private_key
from jan_server.identity.realm_file import TEMPLATE, read_realm_file, redirect_uris, render_realm_file
from jan_server.settings.resources import templates_dir
from jan_server.settings.tree import Settings
from tests.identity.server import APPLICATION_ADMIN_PASSWORD, BACKEND_SECRET, settings_for_tests


def test_secrets_come_from_the_settings():
    settings = settings_for_tests()
    realm = read_realm_file(settings)
    clients = {client["clientId"]: client for client in realm["clients"]}
    assert clients["backend"]["secret"] == BACKEND_SECRET
    assert "secret" not in clients["jan-client"]
    users = {user["username"]: user for user in realm["users"]}
    assert users["admin"]["credentials"][0]["value"] == APPLICATION_ADMIN_PASSWORD
    assert users["service-account-backend"]["clientRoles"] == {
        "realm-management": ["manage-users", "view-users", "query-users", "query-groups", "view-realm"]
    }
    keys = realm["components"]["org.keycloak.keys.KeyProvider"]
    mine = next(key for key in keys if key["providerId"] == "rsa")
    expected = read_private_key(settings.identity.signing_key.get_secret_value())
    given = read_private_key(mine["config"]["privateKey"][0])
    assert given.private_numbers() == expected.private_numbers()


def test_the_template_itself_holds_no_secret():
    text = (Path(templates_dir()) / TEMPLATE).read_text()
    assert "PRIVATE KEY" not in text
    assert "{{ backend_secret | tojson }}" in text
    assert "{{ admin_password | tojson }}" in text
    assert "yourdomain" not in text


@pytest.mark.parametrize("secret", ['quote " and back slash \\', "</script>&<>'", "ünïcode ✓", "line\nbreak"])
def test_no_secret_breaks_the_file(secret: str):
    settings = settings_for_tests(application_admin_password=secret)
    realm = json.loads(render_realm_file(settings))
    assert realm["users"][1]["credentials"][0]["value"] == secret


def test_without_an_administrators_password_there_is_no_administrator():
    realm = read_realm_file(settings_for_tests(application_admin_password=""))
    assert [user["username"] for user in realm["users"]] == ["service-account-backend"]


def test_without_a_signing_key_the_realm_makes_one():
    realm = read_realm_file(settings_for_tests(signing_key=""))
    providers = {key["providerId"] for key in realm["components"]["org.keycloak.keys.KeyProvider"]}
    assert "rsa-generated" in providers
    assert "rsa" not in providers


def test_missing_and_wrong_settings_are_named():
    with pytest.raises(ValueError, match="BACKEND_CLIENT_SECRET"):
        read_realm_file(Settings())
    with pytest.raises(ValueError, match="JAN_REALM_SIGNING_KEY"):
        read_realm_file(settings_for_tests(signing_key="nonsense"))


def test_clients_may_be_sent_to_the_gateway_and_to_the_operators_own_addresses():
    settings = settings_for_tests(redirect_uris=("https://chat.example/*",))
    found = redirect_uris(settings)
    assert "http://localhost:8000/auth/callback" in found
    assert "http://127.0.0.1:3001/*" in found
    assert "https://chat.example/*" in found
    assert len(found) == len(set(found))


def test_the_names_of_clients_are_settings():
    settings = settings_for_tests()
    keycloak = settings.infrastructure.auth.keycloak.model_copy(
        update={"client": ("people", "scripts", "more-scripts"), "backend_client_id": "services"}
    )
    auth = settings.infrastructure.auth.model_copy(update={"keycloak": keycloak})
    infrastructure = settings.infrastructure.model_copy(update={"auth": auth})
    realm = read_realm_file(settings.model_copy(update={"infrastructure": infrastructure}))
    assert [client["clientId"] for client in realm["clients"]] == [
        "services",
        "people",
        "scripts",
        "more-scripts",
    ]

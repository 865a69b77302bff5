"""A realm says where its endpoints are and which keys sign its tokens."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from jan_server.identity.keys import key_id, read_private_key
from tests.identity.server import IdentityServer, http


def test_discovery_names_the_fixed_issuer_and_the_endpoints(identity_server: IdentityServer):
    found = identity_server.openid().well_known()
    issuer = found["issuer"]
    assert issuer.endswith("/realms/jan")
    assert found["authorization_endpoint"] == f"{issuer}/protocol/openid-connect/auth"
    # What services call is named with the address that they used, not with the public one.
    assert found["token_endpoint"] == f"{identity_server.protocol}/token"
    assert found["jwks_uri"] == f"{identity_server.protocol}/certs"
    assert found["userinfo_endpoint"] == f"{identity_server.protocol}/userinfo"
    assert found["introspection_endpoint"] == f"{identity_server.protocol}/token/introspect"
    assert {"authorization_code", "refresh_token", "password", "client_credentials"} <= set(
        found["grant_types_supported"]
    )
    assert "S256" in found["code_challenge_methods_supported"]
    assert "RS256" in found["id_token_signing_alg_values_supported"]


def test_the_signing_key_of_the_settings_signs_under_keycloaks_key_id(identity_server: IdentityServer):
    key = read_private_key(identity_server.settings.identity.signing_key.get_secret_value())
    published = identity_server.openid().certs()["keys"]
    signing = next(one for one in published if one["use"] == "sig" and one["alg"] == "RS256")
    assert signing["kid"] == key_id(key.public_key())
    assert signing["kty"] == "RSA"
    assert signing["x5c"]
    assert (
        int.from_bytes(base64.urlsafe_b64decode(signing["n"] + "==")) == key.public_key().public_numbers().n
    )


def test_the_realm_shows_its_public_key(identity_server: IdentityServer):
    shown = identity_server.openid().public_key()
    key = read_private_key(identity_server.settings.identity.signing_key.get_secret_value())
    assert load_der_public_key(base64.b64decode(shown)) == key.public_key()


def test_an_unknown_realm_is_not_found(identity_server: IdentityServer):
    for path in ("", "/.well-known/openid-configuration", "/protocol/openid-connect/certs"):
        answer = http.get(f"{identity_server.url}/realms/nobodys{path}")
        assert answer.status_code == 404
        assert answer.json() == {"error": "Realm does not exist"}


@pytest.mark.parametrize("path", ["/protocol/openid-connect/certs", "/.well-known/openid-configuration"])
def test_any_page_may_read_what_is_public(identity_server: IdentityServer, path: str):
    answer = http.get(f"{identity_server.url}/realms/jan{path}", headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"

"""Keys of a realm: read from settings, named as Keycloak names them, rotated."""

import base64
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jan_server.identity.keys import (
    KeyRing,
    KeyStatus,
    SigningKey,
    key_id,
    new_private_key,
    private_pem,
    read_private_key,
    self_signed_certificate,
)

KEY, OTHER = new_private_key(), new_private_key()


def signing_key(key: rsa.RSAPrivateKey, status: KeyStatus = "ACTIVE") -> SigningKey:
    certificate = self_signed_certificate(key, "jan")
    return SigningKey(key_id(key.public_key()), key, certificate, status, 100, "provider")


def ring(*keys: SigningKey) -> KeyRing:
    return KeyRing(keys=keys, secret=b"s" * 64, secret_id="secret")


def claims(**more: object) -> dict[str, object]:
    return {"sub": "somebody", "iat": int(time.time()), "exp": int(time.time()) + 60, **more}


def test_a_key_is_read_from_every_form_that_a_setting_may_have():
    pem = private_pem(KEY)
    der = KEY.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    older = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    for text in (pem, older, base64.b64encode(pem.encode()).decode(), base64.b64encode(der).decode()):
        assert private_pem(read_private_key(text)) == pem


def test_anything_else_is_refused():
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for text in ("", "nonsense", "bm9uc2Vuc2U=", "ünlesbar", elliptic.decode(), private_pem(small)):
        with pytest.raises(ValueError, match="private key"):
            read_private_key(text)


def test_the_first_key_signs_and_every_other_still_verifies():
    before = ring(signing_key(KEY))
    token = before.sign(claims())
    after = ring(signing_key(OTHER), signing_key(KEY, "PASSIVE"))
    assert after.verify(token) is not None
    assert jwt.get_unverified_header(after.sign(claims()))["kid"] == key_id(OTHER.public_key())
    assert [key["kid"] for key in after.jwks["keys"]] == [
        key_id(OTHER.public_key()),
        key_id(KEY.public_key()),
    ]


def test_a_disabled_key_verifies_nothing_and_is_not_published():
    token = ring(signing_key(KEY)).sign(claims())
    after = ring(signing_key(OTHER), signing_key(KEY, "DISABLED"))
    assert after.verify(token) is None
    assert len(after.jwks["keys"]) == 1


def test_forged_tokens_are_refused():
    keys = ring(signing_key(KEY))
    kid = key_id(KEY.public_key())
    head, body, signature = keys.sign(claims()).split(".")
    public = KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for token in (
        "",
        "a.b.c",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        jwt.encode(claims(), OTHER, algorithm="RS256", headers={"kid": kid}),
        jwt.encode(claims(), None, algorithm="none", headers={"kid": kid}),
        jwt.encode(claims(), base64.b64encode(public).decode(), algorithm="HS256", headers={"kid": kid}),
        jwt.encode(claims(), KEY, algorithm="RS256", headers={"kid": "another"}),
        jwt.encode(claims(exp=int(time.time()) - 1), KEY, algorithm="RS256", headers={"kid": kid}),
        keys.seal({"typ": "Refresh", **claims()}),
    ):
        assert keys.verify(token) is None


def test_a_sealed_token_is_for_this_issuer_alone():
    keys = ring(signing_key(KEY))
    sealed = keys.seal({"typ": "Refresh", **claims()})
    assert keys.unseal(sealed) is not None
    assert keys.unseal(keys.sign({"typ": "Refresh", **claims()})) is None
    assert KeyRing(keys=keys.keys, secret=b"o" * 64, secret_id="secret").unseal(sealed) is None
    old = keys.seal({"typ": "Refresh", **claims(exp=int(time.time()) - 5)})
    assert keys.unseal(old) is None
    assert keys.unseal(old, expired=True) is not None

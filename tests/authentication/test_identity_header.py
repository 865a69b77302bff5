"""Between gateway and services only a signed header is believed."""

import time

import jwt
import pytest

from jan_server.authentication.identity_header import IdentitySigner
from jan_server.authentication.principal import Principal
from jan_server.authentication.verifier import InvalidToken

SECRET = "s" * 40
PRINCIPAL = Principal(
    subject="u1",
    issuer="i",
    method="apikey",
    roles=("user",),
    guest=True,
    user_id="7",
    key_id="k",
    email="a@b.c",
)


def test_a_principal_travels_whole():
    assert IdentitySigner(SECRET).verify(IdentitySigner(SECRET).sign(PRINCIPAL)) == PRINCIPAL


@pytest.mark.parametrize(
    "forged",
    [
        "u1",
        "",
        jwt.encode(
            {"aud": "jan-internal", "exp": 9999999999, "principal": {"subject": "u1", "issuer": ""}},
            None,
            "none",
        ),
        IdentitySigner("another secret of the right length").sign(PRINCIPAL),
        jwt.encode({"exp": 9999999999, "principal": {}}, SECRET, "HS256"),
        jwt.encode({"aud": "jan-internal", "exp": 9999999999, "principal": {"bogus": 1}}, SECRET, "HS256"),
        jwt.encode({"aud": "jan-internal", "exp": 9999999999, "principal": "u1"}, SECRET, "HS256"),
    ],
)
def test_a_forged_header_is_refused(forged):
    with pytest.raises(InvalidToken):
        IdentitySigner(SECRET).verify(forged)


def test_a_header_lives_a_minute(monkeypatch):
    signer = IdentitySigner(SECRET)
    value = signer.sign(PRINCIPAL)
    signer.verify(value)
    later = time.time() + 90
    monkeypatch.setattr(time, "time", lambda: later)
    old = jwt.encode(
        {"aud": "jan-internal", "exp": int(later) - 200, "principal": {"subject": "u", "issuer": ""}}, SECRET
    )
    with pytest.raises(InvalidToken):
        signer.verify(old)
    assert signer.sign(PRINCIPAL) != value


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        IdentitySigner("short")

"""A token opens the platform only when the realm signed it, for us, and it is still valid."""

import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from jan_server.authentication.principal import Principal, principal_from_token
from jan_server.authentication.verifier import InvalidToken, TokenRules, TokenVerifier

ISSUER = "http://localhost:8085/realms/jan"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token(key=KEY, algorithm="RS256", kid="k1", **claims):
    now = int(time.time())
    body = {
        "iss": ISSUER,
        "sub": "u1",
        "aud": "account",
        "azp": "jan-client",
        "typ": "Bearer",
        "exp": now + 60,
        **claims,
    }
    return jwt.encode(
        {k: v for k, v in body.items() if v is not None}, key, algorithm=algorithm, headers={"kid": kid}
    )


def verifier(**rules):
    asked = []

    async def lookup(kid):
        asked.append(kid)
        return {"k1": KEY.public_key()}.get(kid)

    made = TokenVerifier(
        lookup,
        TokenRules(
            issuers=(ISSUER,), audience="account", authorized_parties=("jan-client", "jan-admin"), **rules
        ),
    )
    return made, asked


async def test_a_good_token_is_accepted_and_then_known():
    check, asked = verifier()
    good = token()
    assert (await check.verify(good))["sub"] == "u1"
    assert (await check.verify(good))["sub"] == "u1"
    assert asked == ["k1"]


async def test_claims_that_are_absent_are_not_required():
    check, _ = verifier()
    assert await check.verify(token(aud=None, azp=None, typ=None))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: token(exp=int(time.time()) - 120), "expired"),
        (lambda: token(nbf=int(time.time()) + 600), "invalid token"),
        (lambda: token(iss="http://localhost:8085/realms/other"), "issuer"),
        (lambda: token(aud="elsewhere"), "audience"),
        (lambda: token(azp="stranger"), "authorized party"),
        (lambda: token(typ="Refresh"), "access token"),
        (lambda: token(sub=None), "invalid token"),
        (lambda: token(exp=None), "invalid token"),
        (lambda: token(key=OTHER_KEY), "invalid token"),
        (lambda: token(kid="k2"), "unknown"),
        (lambda: token(key=None, algorithm="none"), "algorithm"),
        (lambda: token(key="k" * 64, algorithm="HS256"), "algorithm"),
        (lambda: "not-a-token", "invalid token"),
        (lambda: token()[:-4] + "AAAA", "invalid token"),
    ],
)
async def test_a_bad_token_is_refused_with_a_reason(bad, reason):
    check, _ = verifier()
    with pytest.raises(InvalidToken, match=reason):
        await check.verify(bad())


async def test_a_known_token_is_refused_once_it_expires(monkeypatch):
    check, _ = verifier(skew_seconds=0)
    good = token()
    await check.verify(good)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(InvalidToken, match="expired"):
        await check.verify(good)


async def test_a_known_token_is_refused_once_its_key_is_withdrawn_or_replaced():
    keys = {"k1": KEY.public_key()}

    async def lookup(kid):
        return keys.get(kid)

    check = TokenVerifier(lookup, TokenRules(issuers=(ISSUER,)), keys.get)
    good = token()
    assert (await check.verified(good)) is (await check.verified(good))
    keys["k1"] = OTHER_KEY.public_key()
    with pytest.raises(InvalidToken):
        await check.verify(good)
    keys["k1"] = KEY.public_key()
    await check.verify(good)
    del keys["k1"]
    with pytest.raises(InvalidToken, match="unknown"):
        await check.verify(good)


async def test_a_token_that_lives_longer_than_allowed_is_refused():
    check, _ = verifier(maximum_seconds=3600)
    with pytest.raises(InvalidToken, match="longer"):
        await check.verify(token(exp=int(time.time()) + 7200))


def test_roles_of_realm_and_clients_are_united():
    principal = principal_from_token(
        {
            "sub": "u1",
            "iss": ISSUER,
            "realm_access": {"roles": ["user", "guest"]},
            "resource_access": {"account": {"roles": ["view-profile", "user"]}},
            "guest": "true",
            "feature_flags": ["experimental_models"],
            "scope": "openid email",
        }
    )
    assert principal.roles == ("user", "guest", "view-profile")
    assert principal.guest
    assert principal.scopes == ("openid", "email")
    assert not principal.is_admin


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": {"roles": ["Admin"]}},
        {"feature_flags": ["admin_access"]},
        {"is_admin": True},
        {"attributes": {"is_admin": ["true"]}},
    ],
)
def test_an_administrator_is_known_by_role_flag_or_attribute(claims):
    assert principal_from_token({"sub": "u1", **claims}).is_admin


def test_odd_claims_do_not_crash_and_give_no_rights():
    principal = principal_from_token({"sub": 7, "realm_access": "admin", "resource_access": [1], "groups": 3})
    assert principal == Principal(subject="7", issuer="")

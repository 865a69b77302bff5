"""Passwords: hashed slowly, compared off the loop, and carried over from Keycloak."""

import hashlib
import json
import os
from collections.abc import AsyncIterator

import argon2
import pytest

from jan_server.identity.errors import IdentityError
from jan_server.identity.passwords import MAX_LENGTH, PasswordHasher, check_policy, pbkdf2_hash
from tests.identity.hashed_passwords import argon2_credential, pbkdf2_credential
from tests.identity.server import IdentityServer


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    """A hasher with threads of its own."""
    hasher = PasswordHasher()
    yield hasher
    hasher.close()


async def test_a_password_matches_its_own_hash_alone(hasher: PasswordHasher):
    one, other = await hasher.hash("a password"), await hasher.hash("a password")
    assert one.startswith("$argon2id$")
    assert one != other
    assert (await hasher.verify("a password", one)).good
    assert not (await hasher.verify("another", one)).good


async def test_nobody_has_a_password(hasher: PasswordHasher):
    assert not (await hasher.verify("a password", None)).good
    assert not (await hasher.verify("", None)).good


async def test_a_hash_with_older_parameters_is_stale(hasher: PasswordHasher):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("a password")
    verdict = await hasher.verify("a password", weak)
    assert verdict.good
    assert verdict.stale
    fresh = await hasher.verify("a password", await hasher.hash("a password"))
    assert fresh.good
    assert not fresh.stale


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_pbkdf2_hashes_of_keycloak_are_understood_and_stale(hasher: PasswordHasher, algorithm: str):
    salt = os.urandom(16)
    digest = hashlib.pbkdf2_hmac(algorithm, b"a password", salt, 1000, dklen=64)
    hashed = pbkdf2_hash(algorithm, 1000, salt, digest)
    verdict = await hasher.verify("a password", hashed)
    assert verdict.good
    assert verdict.stale
    assert not (await hasher.verify("another", hashed)).good


@pytest.mark.parametrize(
    "hashed",
    ["", "plain text", "$argon2id$broken", "$pbkdf2-sha256$i=0$c2FsdA==$aGFzaA==", "$pbkdf2-sha1$i=x$a$b"],
)
async def test_a_broken_hash_opens_nothing(hasher: PasswordHasher, hashed: str):
    assert not (await hasher.verify("plain text", hashed)).good


async def test_a_megabyte_is_not_hashed(hasher: PasswordHasher):
    hashed = await hasher.hash("a" * MAX_LENGTH)
    assert not (await hasher.verify("a" * 1_000_000, hashed)).good


@pytest.mark.parametrize(
    ("policy", "password"),
    [
        ("length(8)", "short"),
        ("length(8) and digits(1)", "long enough"),
        ("upperCase(1)", "lower"),
        ("lowerCase(2)", "UPPEr"),
        ("specialChars(1)", "abc1"),
        ("notUsername(undefined)", "Somebody"),
        ("notEmail(undefined)", "somebody@example.org"),
        ("maxLength(4)", "12345"),
        ("", ""),
    ],
)
def test_a_policy_in_keycloaks_words_refuses(policy: str, password: str):
    with pytest.raises(IdentityError) as refusal:
        check_policy(policy, password, username="somebody", email="somebody@example.org")
    assert refusal.value.status == 400


def test_a_policy_lets_the_rest_pass():
    policy = "length(8) and digits(1) and upperCase(1) and notUsername(undefined)"
    check_policy(policy, "Passw0rd", username="somebody", email="somebody@example.org")


@pytest.mark.parametrize("credential", [argon2_credential, pbkdf2_credential])
def test_a_user_of_keycloak_keeps_its_password(embedded_server: IdentityServer, credential):
    user = embedded_server.new_user(credentials=[credential()])
    form = {"grant_type": "password", "client_id": "jan-client", "username": user.email}
    assert embedded_server.token(**form, password="another").status_code == 401
    assert embedded_server.token(**form, password="from keycloak").status_code == 200
    # Whatever it was hashed with, it is hashed with today's parameters now.
    data = json.loads(embedded_server.backend_admin().get_credentials(user.id)[0]["credentialData"])
    assert data["algorithm"] == "argon2"
    assert embedded_server.token(**form, password="from keycloak").status_code == 200

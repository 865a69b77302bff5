"""The signing key of a real Keycloak is replaced under load, as `jan identity rotate-keys` does it."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
import jwt
import pytest

from jan_server.authentication.jwks import KeySet
from jan_server.authentication.verifier import TokenRules, TokenVerifier
from jan_server.identity.key_rotation import SETTLE_SECONDS
from jan_server.identity.keycloak.drift import changes
from jan_server.identity.keycloak.key_rotation import drop_retired_keys, publish_key, use_key
from jan_server.identity.keycloak.realm_server import RealmServer
from jan_server.identity.keys import key_id, new_private_key, private_pem, read_private_key
from jan_server.identity.realm_file import read_realm_file, signing_key_provider
from tests.identity.server import IdentityServer, User
from tests.keycloak.test_setup import settings_with_key

LOADED_SECONDS = 3.0


@pytest.fixture(autouse=True)
def first_key(identity_server: IdentityServer, realm: RealmServer) -> Iterator[None]:
    """Whatever a test did, the key of the realm file signs after it."""
    yield
    for change in changes(realm, read_realm_file(identity_server.settings)):
        change.apply()


@pytest.mark.timeout(300)
async def test_no_token_is_refused_while_the_key_is_replaced(
    identity_server: IdentityServer, realm: RealmServer, client: aiohttp.ClientSession
):
    """The verifier is the one of gateway and services, with its pause between two looks for a key."""
    # Keycloak refuses an account's log-in while another one of it is under way, or was a moment ago.
    users = [await asyncio.to_thread(identity_server.new_user) for _ in range(8)]
    issuer = f"{identity_server.url}/realms/jan"
    keys = KeySet(client, f"{identity_server.protocol}/certs")
    verifier = TokenVerifier(keys.key, TokenRules((issuer,)), keys.current)
    first = (await asyncio.to_thread(identity_server.log_in, users[0]))["access_token"]
    kids: list[str] = []
    ends = asyncio.Event()

    async def work(own: Sequence[User]) -> None:
        for user in itertools.cycle(own):
            if ends.is_set():
                return
            fresh = (await asyncio.to_thread(identity_server.log_in, user))["access_token"]
            for token in (first, fresh):
                await verifier.verify(token)
            kids.append(jwt.get_unverified_header(fresh)["kid"])

    work_of_two = [asyncio.create_task(work(own)) for own in (users[1::2], users[2::2])]
    old = jwt.get_unverified_header(first)["kid"]
    key = private_pem(new_private_key())
    component = await asyncio.to_thread(signing_key_provider, identity_server.settings, key)
    new = key_id(read_private_key(key).public_key())
    await asyncio.to_thread(publish_key, realm, component, new)
    await asyncio.sleep(SETTLE_SECONDS)
    assert set(kids) == {old}
    await asyncio.to_thread(use_key, realm, component, new)
    await asyncio.sleep(LOADED_SECONDS)
    ends.set()
    await asyncio.gather(*work_of_two)

    assert kids[-1] == new
    assert set(kids) == {old, new}, "Keycloak made no key of its own in between"
    renewed = settings_with_key(identity_server.settings, key)
    assert await asyncio.to_thread(lambda: list(changes(realm, read_realm_file(renewed)))) == []


def test_an_old_key_is_removed_once_no_token_needs_it(identity_server: IdentityServer, realm: RealmServer):
    key = private_pem(new_private_key())
    component = signing_key_provider(identity_server.settings, key)
    use_key(realm, component, key_id(read_private_key(key).public_key()))
    kept = drop_retired_keys(realm)
    assert kept.dropped == []
    assert kept.needed

    parent = realm.get("")["id"]
    long_ago = (datetime.now(UTC) - timedelta(hours=2)).isoformat(timespec="seconds")
    for provider in realm.get("/components", parent=parent, type="org.keycloak.keys.KeyProvider"):
        name = re.sub(r"\(retired .*\)", f"(retired {long_ago})", provider["name"])
        realm.put(f"/components/{provider['id']}", {**provider, "name": name})
    gone = drop_retired_keys(realm)

    assert set(gone.dropped) == set(kept.needed)
    published = {each["kid"] for each in httpx.get(f"{identity_server.protocol}/certs").json()["keys"]}
    assert not published & set(gone.dropped)
    assert identity_server.claims(identity_server.log_in(identity_server.new_user())["access_token"])

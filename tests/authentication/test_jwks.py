"""A realm's keys: fetched again in time, and the same objects while nothing changes."""

import aiohttp

from jan_server.authentication import jwks
from jan_server.authentication.jwks import KeySet
from tests.gateway.realm import Realm
from tests.gateway.serving import serving
from tests.waiting import until


async def test_old_keys_are_fetched_in_the_background_and_withdrawn_ones_go(monkeypatch) -> None:
    monkeypatch.setattr(jwks, "UNKNOWN_KEY_PAUSE_SECONDS", 0.0)
    realm = Realm()
    async with serving(realm) as port, aiohttp.ClientSession() as client:
        keys = KeySet(client, f"http://127.0.0.1:{port}/certs", refresh_seconds=0.0)
        assert (keys.current(realm.kid), keys.fetched) == (None, False)
        await until(lambda: keys.fetched)
        first = keys.current(realm.kid)
        fetched = realm.published
        await until(lambda: keys.current(realm.kid) is first and realm.published > fetched + 1)
        old = realm.kid
        realm.rotate()
        await until(lambda: keys.current(old) is None and keys.current(realm.kid) is not None)
        await until(lambda: keys._refreshing is None)

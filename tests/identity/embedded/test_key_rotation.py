"""The signing key of a running issuer is replaced: tokens of both keys pass, and the old key goes in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest

from jan_server.identity import key_rotation
from jan_server.identity.keys import new_private_key, private_pem
from tests.identity.server import IdentityServer, User, http, served, settings_for_tests
from tests.identity.transfer.moving import with_realms
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityServer]:
    """An issuer whose keys are this module's alone."""
    with served(settings_for_tests(), database_url, tmp_path_factory.mktemp("home")) as running:
        yield running


class Load:
    """People who log in and use their tokens while keys change; what was refused is kept."""

    def __init__(self, server: IdentityServer, user: User) -> None:
        self.kids: list[str] = []
        self.refused: list[str] = []
        self._server, self._user = server, user
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._first = self._server.log_in(self._user)["access_token"]
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ends.is_set():
            fresh = self._server.log_in(self._user)["access_token"]
            for token in (self._first, fresh):
                headers = {"Authorization": f"Bearer {token}"}
                answer = http.get(f"{self._server.protocol}/userinfo", headers=headers)
                if answer.status_code != 200:
                    self.refused.append(answer.text)
                self._server.claims(token)
            self.kids.append(signed_by(fresh))


def signed_by(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def published(server: IdentityServer) -> set[str]:
    return {key["kid"] for key in http.get(f"{server.protocol}/certs").json()["keys"]}


def rotate(server: IdentityServer) -> str:
    """Replace the key, with a wait that is enough for one process."""
    key = private_pem(new_private_key())
    kid = with_realms(server, lambda realms: key_rotation.publish_key(realms, "jan", key))
    wait_until(lambda: kid in published(server))
    with_realms(server, lambda realms: key_rotation.sign_with(realms, "jan", kid))
    return kid


def test_no_request_is_refused_while_the_key_is_replaced(server: IdentityServer):
    user = server.new_user()
    old = signed_by(server.log_in(user)["access_token"])
    with Load(server, user) as load:
        wait_until(lambda: load.kids)
        new = rotate(server)
        wait_until(lambda: new in load.kids)
    assert load.refused == []
    assert set(load.kids) == {old, new}
    assert {old, new} <= published(server)


def test_an_old_key_is_removed_once_no_token_needs_it(server: IdentityServer):
    user, kid = server.new_user(), rotate(server)
    kept = with_realms(server, lambda realms: key_rotation.drop_retired_keys(realms, "jan"))
    assert kept.dropped == []
    wait_until(lambda: signed_by(server.log_in(user)["access_token"]) == kid)
    assert {*kept.needed, kid} == published(server)

    with psycopg.connect(server.database_url, autocommit=True) as connection:
        connection.execute(
            "update identity.realm_keys set retired_at = retired_at - interval '1 hour 6 minutes'"
        )
    gone = with_realms(server, lambda realms: key_rotation.drop_retired_keys(realms, "jan"))

    assert set(gone.dropped) == set(kept.needed)
    wait_until(lambda: not published(server) & set(gone.dropped))
    assert len(published(server)) == 1


def test_a_start_with_the_new_key_changes_nothing(database_url: str, tmp_path: Path):
    key = private_pem(new_private_key())
    with served(settings_for_tests(), database_url, tmp_path) as server:
        kid = with_realms(server, lambda realms: key_rotation.publish_key(realms, "jan", key))
        with_realms(server, lambda realms: key_rotation.sign_with(realms, "jan", kid))
        before = published(server)
    with served(settings_for_tests(signing_key=key), database_url, tmp_path) as server:
        assert signed_by(server.log_in(server.new_user())["access_token"]) == kid
        assert published(server) == before


def test_the_longest_life_counts():
    clients = [{"attributes": {"access.token.lifespan": "7200"}}, {"attributes": {}}, {}]
    realm = {"accessTokenLifespan": 3600, "accessTokenLifespanForImplicitFlow": 900}
    assert key_rotation.longest_life(realm, clients) == timedelta(hours=2) + key_rotation.SPARE

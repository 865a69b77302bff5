"""The identity server of a test run, and users in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.conftest import database_named
from tests.identity.server import IdentityServer, User, given_keycloak, served, settings_for_tests


@pytest.fixture(scope="session")
def embedded_server(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdentityServer]:
    """The embedded issuer, with a database of its own."""
    name = f"identity_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{migrated_template}"')
    settings = settings_for_tests(redirect_uris=("http://localhost:9999/exact",))
    with served(settings, database_named(postgres_url, name), tmp_path_factory.mktemp("home")) as server:
        yield server
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def identity_server(request: pytest.FixtureRequest) -> IdentityServer:
    """The server under test; see `tests/identity/server.py` for pointing it elsewhere."""
    exact = ("http://localhost:9999/exact",)
    if keycloak := given_keycloak(lambda _: settings_for_tests(redirect_uris=exact)):
        return keycloak
    server: IdentityServer = request.getfixturevalue("embedded_server")
    return server


@pytest.fixture
def user(identity_server: IdentityServer) -> User:
    """A user of this test alone."""
    return identity_server.new_user()


@pytest.fixture
def new_user(identity_server: IdentityServer) -> Callable[..., User]:
    """Makes users."""
    return identity_server.new_user

"""The Keycloak that `make test-keycloak` starts; without it the tests of this folder are not collected."""

import os

import pytest

from jan_server.identity.keycloak.realm_server import Administrator, RealmServer
from tests.identity.conftest import embedded_server, identity_server
from tests.identity.server import IdentityServer

__all__ = ["embedded_server", "identity_server"]

collect_ignore_glob = [] if os.environ.get("JAN_TEST_KEYCLOAK_URL") else ["test_*.py"]
if "JAN_TEST_KEYCLOAK_DATABASE_URL" not in os.environ:
    # Hashed passwords are in its database alone.
    collect_ignore_glob.append("test_users.py")


@pytest.fixture
def keycloak_database() -> str:
    """The libpq URL of the Keycloak's database."""
    return os.environ["JAN_TEST_KEYCLOAK_DATABASE_URL"]


@pytest.fixture
def administrator(identity_server: IdentityServer) -> Administrator:
    """Who sets realms up on it."""
    return Administrator(identity_server.url, identity_server.master_user, identity_server.master_password)


@pytest.fixture
def realm(administrator: Administrator) -> RealmServer:
    """Its realm `jan`."""
    return RealmServer(administrator, "jan")

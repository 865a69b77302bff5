"""The Keycloak that `make test-keycloak` starts; without it the tests of this folder are not collected."""

import os

import pytest

from tests.identity.conftest import embedded_server, identity_server

__all__ = ["embedded_server", "identity_server"]

collect_ignore_glob = [] if os.environ.get("JAN_TEST_KEYCLOAK_URL") else ["test_*.py"]
if "JAN_TEST_KEYCLOAK_DATABASE_URL" not in os.environ:
    # Hashed passwords are in its database alone.
    collect_ignore_glob.append("test_users.py")


@pytest.fixture
def keycloak_database() -> str:
    """The libpq URL of the Keycloak's database."""
    return os.environ["JAN_TEST_KEYCLOAK_DATABASE_URL"]

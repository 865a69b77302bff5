"""The Keycloak that `make test-keycloak` starts; without it the tests of this folder are not collected."""

import os

from tests.identity.conftest import identity_server

__all__ = ["identity_server"]

collect_ignore_glob = [] if os.environ.get("JAN_TEST_KEYCLOAK_URL") else ["test_*.py"]

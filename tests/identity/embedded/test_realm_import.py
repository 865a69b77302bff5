"""The import of the realm file: once, and later only what changed in it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from keycloak.exceptions import KeycloakAuthenticationError

from jan_server.identity.keys import key_id, new_private_key, private_pem
from jan_server.settings.tree import Settings
from tests.identity.server import IdentityServer, served, settings_for_tests

Start = Callable[[Settings], AbstractContextManager[IdentityServer]]


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Start:
    """Starts the issuer on this module's database."""
    return lambda settings: served(settings, database_url, tmp_path)


def test_a_start_with_the_same_file_changes_nothing(start: Start):
    settings = settings_for_tests()
    with start(settings) as server:
        admin = server.master_admin()
        before = (admin.get_realm("jan"), admin.get_clients(), admin.get_groups(), admin.get_realm_roles())
        user = server.new_user()
        refresh = server.log_in(user)["refresh_token"]
    with start(settings) as server:
        admin = server.master_admin()
        after = (admin.get_realm("jan"), admin.get_clients(), admin.get_groups(), admin.get_realm_roles())
        assert after == before
        # And a log-in survives a restart.
        assert server.refresh(refresh).status_code == 200


def test_what_administrators_changed_stays(start: Start):
    settings = settings_for_tests()
    with start(settings) as server:
        admin = server.master_admin()
        group = admin.get_group_by_path("/pilot_users")
        admin.update_group(group["id"], {"name": "pilot_users", "attributes": {"feature_flags": ["mine"]}})
        admin.connection.raw_put("admin/realms/jan", data='{"accessTokenLifespan": 1234}')
        admin.delete_realm_role("user")
        administrator = admin.get_users({"search": "admin"})[0]["id"]
        admin.set_user_password(administrator, "chosen by the administrator", temporary=False)
    with start(settings) as server:
        admin = server.master_admin()
        assert admin.get_group_by_path("/pilot_users")["attributes"] == {"feature_flags": ["mine"]}
        assert admin.get_realm("jan")["accessTokenLifespan"] == 1234
        assert "user" not in [role["name"] for role in admin.get_realm_roles()]
        assert server.openid("jan-admin").token("admin", "chosen by the administrator")
        # The last test of the three undoes it.
        admin.create_realm_role({"name": "user", "description": "Registered user"})


def test_what_changed_in_the_file_is_applied(start: Start):
    before, after = (
        settings_for_tests(),
        settings_for_tests(
            signing_key=private_pem(new_private_key()),
            application_admin_password="another password from the settings",
            redirect_uris=("https://new.example/*",),
            login_limit={"attempts": 7},
        ),
    )
    with start(before) as server:
        user = server.new_user()
        tokens = server.log_in(user)
        old_key = server.openid().certs()["keys"][0]["kid"]
    with start(after) as server:
        admin = server.master_admin()
        client = admin.get_client(admin.get_client_id("jan-client"))
        assert "https://new.example/*" in client["redirectUris"]
        assert admin.get_realm("jan")["failureFactor"] == 7
        assert server.openid("jan-admin").token("admin", "another password from the settings")
        # The new key signs; tokens of the old one are good until they run out.
        published = [key["kid"] for key in server.openid().certs()["keys"]]
        assert old_key in published
        assert published[0] != old_key
        assert server.backend().introspect(tokens["access_token"])["active"] is True
        renewed = server.refresh(tokens["refresh_token"]).json()
        assert server.claims(renewed["access_token"])["sub"] == user.id


def test_a_key_may_come_back(start: Start):
    one, other = new_private_key(), new_private_key()
    for key in (one, other, one):
        with start(settings_for_tests(signing_key=private_pem(key))) as server:
            assert server.openid().certs()["keys"][0]["kid"] == key_id(key.public_key())


def test_an_administrator_that_was_removed_stays_removed(start: Start):
    settings = settings_for_tests()
    with start(settings) as server:
        admin = server.master_admin()
        admin.delete_user(admin.get_users({"search": "admin"})[0]["id"])
    with start(settings) as server, pytest.raises(KeycloakAuthenticationError):
        server.openid("jan-admin").token(
            "admin", settings.identity.application_admin_password.get_secret_value()
        )


def test_a_wrong_setting_stops_the_start_and_is_named(start: Start):
    with pytest.raises(ValueError, match="JAN_REALM_SIGNING_KEY"), start(settings_for_tests(signing_key="x")):
        pass

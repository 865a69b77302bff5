"""From one embedded issuer to another: whoever had an account has it there, with the same id and password."""

from __future__ import annotations

import dataclasses
import json
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jan_server.identity.transfer.decisions import UsersConflictError
from jan_server.identity.transfer.users_file import UsersFile, read_users_file, write_users_file
from tests.identity.hashed_passwords import pbkdf2_credential
from tests.identity.server import PASSWORD, IdentityServer, User, served
from tests.identity.transfer.moving import export_embedded, import_embedded


@pytest.fixture(scope="module")
def other(
    embedded_server: IdentityServer, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdentityServer]:
    """Another embedded issuer, whose users are nobody but the administrator."""
    with served(embedded_server.settings, database_url, tmp_path_factory.mktemp("other")) as server:
        yield server


def only(file: UsersFile, *users: User) -> UsersFile:
    """The file with these users alone."""
    ids = {user.id for user in users}
    return dataclasses.replace(file, users=[user for user in file.users if user["id"] in ids])


def claims_of(server: IdentityServer, user: User) -> dict[str, Any]:
    """What the services learn of a user from its token."""
    claims = server.claims(server.log_in(user)["access_token"])
    kept = ("sub", "iss", "preferred_username", "email", "name", "guest", "pid", "groups", "feature_flags")
    return {name: claims.get(name) for name in kept} | {"roles": sorted(claims["realm_access"]["roles"])}


def test_a_user_is_the_same_at_the_other_issuer(
    embedded_server: IdentityServer, other: IdentityServer, tmp_path: Path
):
    admin = embedded_server.master_admin()
    name = uuid.uuid4().hex[:8]
    team = admin.create_group({"name": f"team-{name}", "attributes": {"feature_flags": [f"flag-{name}"]}})
    part = admin.create_group({"name": "part"}, parent=team)
    admin.create_realm_role({"name": f"role-{name}", "description": "of a test"})
    user = embedded_server.new_user(
        firstName="Ada",
        lastName="Lovelace",
        emailVerified=True,
        attributes={"pid": ["7"], "more": ["x", "y"]},
    )
    admin.group_user_add(user.id, part)
    admin.assign_realm_roles(user.id, [admin.get_realm_role(f"role-{name}"), admin.get_realm_role("admin")])
    old = embedded_server.new_user(credentials=[pbkdf2_credential()])

    path = tmp_path / "users.json"
    write_users_file(path, only(export_embedded(embedded_server), user, old))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = import_embedded(other, read_users_file(path))

    assert (done.added, done.overwritten, done.skipped, done.refused) == (2, 0, [], [])
    assert claims_of(other, user) == claims_of(embedded_server, user)
    assert claims_of(other, user)["feature_flags"] == [f"flag-{name}"]
    shown = embedded_server.master_admin().get_user(user.id)
    assert other.master_admin().get_user(user.id) == shown
    assert claims_of(other, User(old.id, old.email, "from keycloak"))["sub"] == old.id


def test_a_second_import_changes_nothing(embedded_server: IdentityServer, other: IdentityServer):
    file = export_embedded(embedded_server)
    import_embedded(other, file)
    before = export_embedded(other)

    done = import_embedded(other, file)

    assert (done.added, done.overwritten, len(done.skipped)) == (0, 0, len(file.users))
    assert export_embedded(other) == before


def test_a_dry_run_tells_what_would_happen(embedded_server: IdentityServer, other: IdentityServer):
    user = embedded_server.new_user()
    file = only(export_embedded(embedded_server), user)

    assert import_embedded(other, file, dry_run=True).added == 1
    assert import_embedded(other, file).added == 1, "nothing was kept before"


def test_users_that_are_there_stay_unless_they_are_to_be_overwritten(
    embedded_server: IdentityServer, other: IdentityServer
):
    user = embedded_server.new_user(firstName="Before")
    import_embedded(other, only(export_embedded(embedded_server), user))
    embedded_server.master_admin().update_user(user.id, {"email": user.email, "firstName": "After"})
    file = only(export_embedded(embedded_server), user)
    theirs = other.new_user(email="taken@example.org")
    ours = {**file.users[0], "id": str(uuid.uuid4()), "username": theirs.email, "email": theirs.email}
    both = dataclasses.replace(file, users=[*file.users, ours])

    skipped = import_embedded(other, both)
    assert [left.reason for left in skipped.skipped] == [
        "is there already",
        f"its name or address belongs to the account {theirs.id}",
    ]
    with pytest.raises(UsersConflictError, match="2 of 2 users are in conflict"):
        import_embedded(other, both, on_conflict="fail")
    assert other.master_admin().get_user(user.id)["firstName"] == "Before"

    assert import_embedded(other, both, on_conflict="overwrite").overwritten == 2
    assert other.master_admin().get_user(user.id)["firstName"] == "After"
    assert other.log_in(User(ours["id"], theirs.email))
    assert other.claims(other.log_in(User("", theirs.email))["access_token"])["sub"] == ours["id"]


def test_guests_come_along_unless_told_otherwise(embedded_server: IdentityServer):
    guest = embedded_server.new_user(attributes={"guest": ["true"]})
    assert guest.id in {user["id"] for user in export_embedded(embedded_server).users}
    assert guest.id not in {user["id"] for user in export_embedded(embedded_server, guests=False).users}


def test_the_administrator_of_the_realm_file_is_the_older_one(
    embedded_server: IdentityServer, other: IdentityServer
):
    """Both issuers made it, each with an id of its own; conversations hang on that of the older one."""
    ours = embedded_server.master_admin().get_users({"email": "admin@jan.internal"})[0]
    file = export_embedded(embedded_server)
    administrator = dataclasses.replace(file, users=[user for user in file.users if user["id"] == ours["id"]])
    import_embedded(other, administrator)
    assert other.master_admin().get_users({"email": "admin@jan.internal"})[0]["id"] == ours["id"]
    assert other.openid("jan-admin").token("admin", "application-admin-of-a-test")

    younger = {**administrator.users[0], "id": str(uuid.uuid4()), "createdTimestamp": 4_000_000_000_000}
    done = import_embedded(other, dataclasses.replace(administrator, users=[younger]))
    assert [left.username for left in done.skipped] == [ours["username"]]


def test_a_user_that_cannot_be_kept_does_not_hold_up_the_others(
    embedded_server: IdentityServer, other: IdentityServer
):
    good = embedded_server.new_user()
    file = only(export_embedded(embedded_server), good)
    strange = {
        **file.users[0],
        "id": str(uuid.uuid4()),
        "username": "strange",
        "email": "strange@example.org",
    }
    strange["credentials"] = [{"type": "password", "credentialData": "{}", "secretData": "{}"}]

    done = import_embedded(other, dataclasses.replace(file, users=[strange, *file.users]))

    assert done.added == 1
    assert [(left.username, left.reason) for left in done.refused] == [
        ("strange", "the hashed credential is malformed")
    ]
    assert other.log_in(User(good.id, good.email, PASSWORD))


def test_an_export_of_a_whole_realm_is_read(tmp_path: Path):
    path = tmp_path / "realm.json"
    account = {"username": "service-account-backend", "serviceAccountClientId": "backend"}
    person = {"id": "1", "username": "somebody", "groups": ["/a/b"], "realmRoles": ["default-roles-old", "r"]}
    path.write_text(json.dumps([{"realm": "old", "users": [account, person], "accessTokenLifespan": 60}]))

    file = read_users_file(path)

    assert [user["username"] for user in file.users] == ["somebody"]
    assert list(file.needed_groups()) == ["/a", "/a/b"]
    assert list(file.needed_roles()) == ["r"]
    assert file.realm_roles(person, "new") == ["default-roles-new", "r"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ('{"realm": "jan"}', "is no users file"),
        ('{"users": []}', "does not name its realm"),
        ('{"realm": "jan", "users": [{"id": "1"}]}', "user 1 has no username"),
        ('{"realm": "jan", "users": [{"username": "a"}]}', "user a has no id"),
        ('{"realm": "jan", "users": [{"id": "1", "username": "a", "groups": "/x"}]}', "groups of user a"),
    ],
    ids=["cut off", "no users", "no realm", "no name", "no id", "groups"],
)
def test_what_is_no_users_file_is_told(tmp_path: Path, content: str, reason: str):
    path = tmp_path / "users.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=reason):
        read_users_file(path)

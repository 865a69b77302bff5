"""Users move from the embedded issuer to a Keycloak and back; nobody notices but for a log-in."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import argon2
import httpx
import jwt
import psycopg
import pytest

from jan_server.identity.hashed_credentials import hashed_credential
from jan_server.identity.keycloak.realm_server import RealmServer
from jan_server.identity.passwords import LANES, MEMORY_KIB, PASSES
from jan_server.identity.transfer import keycloak_export, keycloak_import
from jan_server.identity.transfer.decisions import Imported
from jan_server.identity.transfer.users_file import UsersFile, read_users_file, write_users_file
from tests.conftest import database_named
from tests.identity.hashed_passwords import pbkdf2_credential
from tests.identity.server import IdentityServer, User, served
from tests.identity.transfer.moving import ADMINISTRATOR, export_embedded, import_embedded

USERS = 1000
PASSWORDS = 20
AT_ONCE = 8


@pytest.fixture
def later(
    embedded_server: IdentityServer, postgres_url: str, migrated_template: str, tmp_path: Path
) -> Iterator[IdentityServer]:
    """An embedded issuer that starts with nobody but the administrator."""
    name = f"identity_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{migrated_template}"')
    with served(embedded_server.settings, database_named(postgres_url, name), tmp_path) as server:
        yield server


def import_keycloak(realm: RealmServer, file: UsersFile, **options: Any) -> Imported:
    return keycloak_import.import_users(realm, file, administrator=ADMINISTRATOR, **options)


def new_users(count: int) -> tuple[UsersFile, list[User]]:
    """Users that share a few passwords, each hash with a salt of its own."""
    hasher = argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
    hashes = [hashed_credential(hasher.hash(f"password {number}")) for number in range(PASSWORDS)]
    people, accounts = [], []
    for number in range(count):
        user = User(str(uuid.uuid4()), f"mover-{number}@example.org", f"password {number % PASSWORDS}")
        people.append(user)
        accounts.append(
            {
                "id": user.id,
                "username": user.email,
                "email": user.email,
                "emailVerified": number % 2 == 0,
                "enabled": True,
                "firstName": f"First {number}",
                "attributes": {"guest": ["true" if number % 10 == 0 else "false"], "pid": [str(number)]},
                "requiredActions": [],
                "createdTimestamp": 1_700_000_000_000 + number,
                "notBefore": 0,
                "credentials": [
                    {"type": "password", "createdDate": 1_700_000_000_000, **hashes[number % PASSWORDS]}
                ],
                "realmRoles": ["default-roles-jan", *(["admin"] if number == 1 else [])],
                "clientRoles": {},
                "groups": ["/pilot_users"] if number % 3 == 0 else ["/movers/team"],
            }
        )
    groups = [{"name": "movers", "subGroups": [{"name": "team", "attributes": {"feature_flags": ["moved"]}}]}]
    return UsersFile("jan", accounts, groups), people


def logged_in(server: IdentityServer, users: Sequence[User]) -> list[str]:
    """Log everybody in, several at once; the subjects of the tokens."""
    keys = jwt.PyJWKSet.from_dict(httpx.get(f"{server.protocol}/certs").json())

    def subject(user: User) -> str:
        form = {"grant_type": "password", "client_id": "jan-client", "username": user.email}
        answer = client.post(f"{server.protocol}/token", data={**form, "password": user.password})
        assert answer.status_code == 200, f"{user.email}: {answer.text}"
        token = answer.json()["access_token"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return str(jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})["sub"])

    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(subject, users))


def comparable(file: UsersFile, users: Sequence[User]) -> dict[str, Any]:
    """What must be the same on all issuers: everything but the ids of credentials."""
    ids = {user.id for user in users}
    found = {user["id"]: user for user in file.users if user["id"] in ids}
    for user_id, user in found.items():
        credentials = [
            {name: value for name, value in one.items() if name != "id"} for one in user["credentials"]
        ]
        found[user_id] = {**user, "credentials": credentials}
    return found


def only(file: UsersFile, users: Sequence[User]) -> UsersFile:
    """The file with these users alone."""
    ids = {user.id for user in users}
    return dataclasses.replace(file, users=[user for user in file.users if user["id"] in ids])


@pytest.mark.timeout(1200)
def test_a_thousand_users_move_to_keycloak_and_back(
    embedded_server: IdentityServer,
    identity_server: IdentityServer,
    realm: RealmServer,
    later: IdentityServer,
    keycloak_database: str,
    tmp_path: Path,
):
    made, users = new_users(USERS)
    subjects = [user.id for user in users]
    there, back = tmp_path / "there.json", tmp_path / "back.json"
    assert import_embedded(embedded_server, made).added == USERS
    assert logged_in(embedded_server, users) == subjects

    exported = export_embedded(embedded_server)
    write_users_file(there, only(exported, users))
    done = import_keycloak(realm, read_users_file(there))
    assert (done.added, done.refused) == (USERS, [])
    assert logged_in(identity_server, users) == subjects
    again = import_keycloak(realm, read_users_file(there))
    assert (again.added, len(again.skipped)) == (0, USERS)

    returned = keycloak_export.export_users(keycloak_database, "jan")
    assert comparable(returned, users) == comparable(exported, users)
    write_users_file(back, only(returned, users))
    assert import_embedded(later, read_users_file(back)).added == USERS
    assert logged_in(later, users) == subjects
    assert comparable(export_embedded(later), users) == comparable(exported, users)


def test_what_tokens_tell_is_the_same_after_the_move(
    embedded_server: IdentityServer, identity_server: IdentityServer, realm: RealmServer
):
    admin = embedded_server.master_admin()
    name = uuid.uuid4().hex[:8]
    admin.create_realm_role({"name": f"role-{name}", "description": "of a test"})
    group = admin.create_group({"name": f"group-{name}", "attributes": {"feature_flags": [f"flag-{name}"]}})
    user = embedded_server.new_user(firstName="Ada", attributes={"guest": ["false"], "pid": ["7"]})
    admin.group_user_add(user.id, group)
    admin.assign_realm_roles(user.id, [admin.get_realm_role(f"role-{name}")])
    old = embedded_server.new_user(credentials=[pbkdf2_credential()])

    done = import_keycloak(realm, only(export_embedded(embedded_server), [user, old]))

    assert f"Roles that were missing: role-{name}" in done.notes[0]
    assert claims_of(identity_server, user) == claims_of(embedded_server, user)
    assert claims_of(identity_server, user)["feature_flags"] == [f"flag-{name}"]
    assert claims_of(identity_server, User(old.id, old.email, "from keycloak"))["sub"] == old.id


def claims_of(server: IdentityServer, user: User) -> dict[str, Any]:
    claims = server.claims(server.log_in(user)["access_token"])
    kept = ("sub", "preferred_username", "email", "name", "guest", "pid", "feature_flags")
    roles = sorted(claims["realm_access"]["roles"])
    return {name: claims.get(name) for name in kept} | {"roles": roles, "groups": sorted(claims["groups"])}


def test_who_cannot_be_there_does_not_hold_up_the_others(realm: RealmServer):
    made, users = new_users(5)
    strange = {**made.users[2], "credentials": [{"type": "password", "credentialData": "{"}]}
    fresh = [{**user, **_renamed(user)} for user in [*made.users[:2], strange, *made.users[3:]]]

    done = import_keycloak(realm, dataclasses.replace(made, users=fresh))

    assert done.added + len(done.refused) == len(users)
    assert {left.username for left in done.refused} <= {fresh[2]["username"]}


def _renamed(user: Any) -> dict[str, str]:
    email = f"other-{uuid.uuid4().hex[:8]}@example.org"
    return {"id": str(uuid.uuid4()), "username": email, "email": email}


def test_users_that_are_there_are_overwritten_when_that_is_asked_for(
    identity_server: IdentityServer, realm: RealmServer, keycloak_database: str
):
    same, renamed, theirs = (identity_server.new_user() for _ in range(3))
    file = keycloak_export.export_users(keycloak_database, "jan")
    entries = {user["id"]: user for user in only(file, [same, renamed, theirs]).users}
    ours = {**entries[theirs.id], "id": str(uuid.uuid4())}
    moved = f"renamed-{uuid.uuid4().hex[:8]}@example.org"
    changed = [
        {**entries[same.id], "firstName": "After"},
        {**entries[renamed.id], "username": moved, "email": moved},
        ours,
    ]

    done = import_keycloak(realm, dataclasses.replace(file, users=changed), on_conflict="overwrite")

    assert (done.added, done.overwritten, done.refused) == (0, 3, [])
    assert realm.get(f"/users/{same.id}")["firstName"] == "After"
    assert realm.get(f"/users/{renamed.id}")["email"] == moved
    assert claims_of(identity_server, theirs)["sub"] == ours["id"]


def test_a_keycloak_that_knows_no_argon2_is_refused(realm: RealmServer, monkeypatch: pytest.MonkeyPatch):
    assert realm.version() >= keycloak_import.OLDEST_WITH_ARGON2
    made, _ = new_users(1)
    monkeypatch.setattr(realm, "version", lambda: (24, 0, 5))
    with pytest.raises(keycloak_import.HashesUnknownError, match=r"Keycloak 24\.0\.5, which knows no Argon2"):
        import_keycloak(realm, made)

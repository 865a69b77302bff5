"""The issuer as a server: its paths, its health, its answers to nonsense, its tidiness."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from jan_server.database.engine import Database, sqlalchemy_url
from jan_server.database.migrate import VERSION_TABLE
from jan_server.identity.sweep import sweep
from jan_server.identity.tables import SCHEMA, IdentityTable
from tests.identity.server import IdentityServer, http


def test_health(embedded_server: IdentityServer):
    for path in ("/health", "/health/ready", "/health/live", "/healthz"):
        answer = http.get(embedded_server.url + path)
        assert (answer.status_code, answer.json()["status"]) == (200, "UP")


def test_the_older_base_path_and_a_last_slash_are_served(embedded_server: IdentityServer):
    for path in ("/realms/jan", "/realms/jan/protocol/openid-connect/certs"):
        plain = http.get(embedded_server.url + path).json()
        assert http.get(f"{embedded_server.url}/auth{path}").json() == plain
        assert http.get(f"{embedded_server.url}{path}/").json() == plain
    headers = embedded_server.backend_headers()
    answer = http.get(
        f"{embedded_server.url}/auth/admin/realms/jan/users/count",
        headers=headers,
    )
    assert answer.status_code == 200


def test_the_issuer_is_the_same_at_every_address(embedded_server: IdentityServer):
    issuer = embedded_server.settings.infrastructure.auth.keycloak.issuer
    for headers in ({}, {"host": "keycloak:8085"}, {"host": "evil.example"}):
        found = http.get(
            f"{embedded_server.url}/realms/jan/.well-known/openid-configuration", headers=headers
        ).json()
        assert found["issuer"] == issuer
        assert found["authorization_endpoint"].startswith(issuer)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Unable to find matching target resource method"),
        ("/nothing", "Unable to find matching target resource method"),
        ("/realms", "Unable to find matching target resource method"),
        ("/realms/jan/protocol/openid-connect/nothing", "HTTP 404 Not Found"),
    ],
)
def test_unknown_paths_are_not_found_in_keycloaks_words(
    embedded_server: IdentityServer, path: str, words: str
):
    answer = http.get(embedded_server.url + path)
    assert (answer.status_code, answer.json()) == (404, {"error": words})


@pytest.mark.parametrize(
    "path",
    [
        "/realms/%00/protocol/openid-connect/certs",
        "/realms/jan/protocol/openid-connect/auth?client_id=%00",
        "/admin/realms/jan/users/%00",
        "/admin/realms/jan/users?search=%00",
    ],
)
def test_nul_characters_are_refused(embedded_server: IdentityServer, path: str):
    headers = embedded_server.backend_headers()
    answer = http.get(embedded_server.url + path, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"email": "a\u0000@example.org"},
        {"email": "x@example.org", "attributes": {"a": ["\u0000"]}},
        {"email": "x@example.org", "attributes": "text"},
        {"email": "x@example.org", "attributes": {"a": [1]}},
        {"email": "x@example.org", "enabled": "yes"},
        {"email": "x@example.org", "firstName": "x" * 300},
        {"email": "x@example.org", "requiredActions": "text"},
        {"email": "x@example.org", "credentials": {"value": "x"}},
        {"email": "x@example.org", "credentials": [{"type": "otp", "value": "x"}]},
        {"email": "x@example.org", "groups": ["/nothing"]},
        {"email": "x" * 300 + "@example.org"},
    ],
)
def test_a_user_that_makes_no_sense_is_refused_and_not_made(
    embedded_server: IdentityServer, body: dict[str, object]
):
    admin = embedded_server.backend_admin()
    headers = embedded_server.backend_headers()
    answer = http.post(f"{embedded_server.admin}/users", json=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert admin.get_users({"email": "x@example.org", "exact": True}) == []


def test_first_and_max_have_to_be_numbers(embedded_server: IdentityServer):
    headers = embedded_server.backend_headers()
    for query in ("first=a", "max=b", "max=9999999999999"):
        answer = http.get(f"{embedded_server.admin}/users?{query}", headers=headers)
        assert answer.status_code == 400


def test_the_api_is_documented(embedded_server: IdentityServer):
    document = http.get(f"{embedded_server.url}/api/swagger/doc.json").json()
    assert document["info"]["title"] == "Identity"
    assert "/realms/{realm}/protocol/openid-connect/token" in document["paths"]
    assert "/admin/realms/{realm}/users/{user_id}" in document["paths"]


def test_log_ins_at_once_do_not_hold_up_others(embedded_server: IdentityServer):
    users = [embedded_server.new_user() for _ in range(3)]
    answered_meanwhile = 0
    with ThreadPoolExecutor(12) as pool:
        log_ins = [pool.submit(embedded_server.log_in, users[number % 3]) for number in range(24)]
        while not all(log_in.done() for log_in in log_ins):
            assert http.get(f"{embedded_server.url}/realms/jan").status_code == 200
            answered_meanwhile += 1
        assert all(log_in.result()["access_token"] for log_in in log_ins)
    # Were passwords hashed on the loop, hardly a request would come through between two of them.
    assert answered_meanwhile >= 5


def test_an_account_that_two_make_at_once_exists_once(embedded_server: IdentityServer):
    headers = embedded_server.backend_headers()

    def make(_: int) -> int:
        return http.post(
            f"{embedded_server.admin}/users",
            json={"email": "at-once@example.org", "enabled": True},
            headers=headers,
        ).status_code

    with ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(make, range(6)))
    assert answers == [201] + [409] * 5


def test_the_migrations_make_the_tables_that_the_code_knows(database_url: str):
    engine = create_engine(sqlalchemy_url(database_url))
    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            "include_object": lambda thing, name, kind, *_: name != VERSION_TABLE,
        }
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, IdentityTable.metadata)
    engine.dispose()
    assert differences == []


def test_what_has_run_out_is_swept_away(embedded_server: IdentityServer):
    url = embedded_server.database_url
    kept, gone = embedded_server.new_user(), embedded_server.new_user()
    good, old = embedded_server.log_in(kept), embedded_server.log_in(gone)
    with psycopg.connect(url) as connection:
        connection.execute(
            "update identity.user_sessions set expires_at = now() - interval '1 second' where user_id = %s",
            (gone.id,),
        )
    assert embedded_server.refresh(old["refresh_token"]).status_code == 400

    async def run() -> int:
        database = Database(url)
        try:
            return await sweep(database)
        finally:
            await database.dispose()

    assert asyncio.run(run()) >= 1
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select user_id from identity.user_sessions where user_id in (%s, %s)", (kept.id, gone.id)
        ).fetchall()
    assert rows == [(kept.id,)]
    assert embedded_server.refresh(good["refresh_token"]).status_code == 200

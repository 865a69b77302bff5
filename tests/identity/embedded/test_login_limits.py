"""Failed log-ins: an account waits, an address is turned away, and neither for ever."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from jan_server.database.engine import Database
from jan_server.identity.login_attempts import Origin, origin_of
from jan_server.identity.sweep import sweep
from tests.identity.browser import Browser, answer_of
from tests.identity.server import PASSWORD, IdentityServer, User, http, served, settings_for_tests

ATTEMPTS, ADDRESS_ATTEMPTS = 3, 6


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityServer]:
    """An issuer that loses its patience early."""
    limit = {"attempts": ATTEMPTS, "address_attempts": ADDRESS_ATTEMPTS}
    home: Path = tmp_path_factory.mktemp("home")
    settings = settings_for_tests(login_limit=limit, trusted_ips=("127.0.0.0/8",))
    with served(settings, database_url, home) as server:
        yield server


@pytest.fixture
def limited_user(server: IdentityServer) -> User:
    """A user of this test alone."""
    return server.new_user()


def _try(server: IdentityServer, name: str, password: str, address: str = "") -> httpx.Response:
    form = {"grant_type": "password", "client_id": "jan-client", "username": name, "password": password}
    headers = {"x-forwarded-for": address} if address else {}
    return http.post(f"{server.protocol}/token", data=form, headers=headers)


def _let_time_pass(database_url: str, subject: str) -> None:
    """Set the clock of a wait back, as if it were over."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update identity.login_failures"
            " set blocked_until = now(), last_failure_at = now() - interval '1 day' where subject = %s",
            (subject,),
        )


def test_an_account_waits_after_too_many_failures(
    server: IdentityServer, limited_user: User, database_url: str
):
    for _ in range(ATTEMPTS):
        assert _try(server, limited_user.email, "wrong").status_code == 401
    refused = _try(server, limited_user.email, PASSWORD)
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_grant"
    assert "temporarily disabled" in refused.json()["error_description"]
    found = server.backend_admin().get_bruteforce_detection_status(limited_user.id)
    assert (found["numFailures"], found["disabled"]) == (ATTEMPTS, True)
    page = Browser(server).log_in(limited_user.email, PASSWORD)
    assert "temporarily disabled" in page.text
    # The wait is over by itself, and a success forgets the failures.
    _let_time_pass(database_url, limited_user.id)
    assert _try(server, limited_user.email, PASSWORD).status_code == 200
    assert server.backend_admin().get_bruteforce_detection_status(limited_user.id)["numFailures"] == 0


def test_an_administrator_ends_the_wait(server: IdentityServer, limited_user: User):
    for _ in range(ATTEMPTS):
        _try(server, limited_user.email, "wrong")
    assert _try(server, limited_user.email, PASSWORD).status_code == 401
    server.backend_admin().clear_bruteforce_attempts_for_user(limited_user.id)
    assert _try(server, limited_user.email, PASSWORD).status_code == 200


def test_failures_that_lie_far_apart_do_not_add_up(
    server: IdentityServer, limited_user: User, database_url: str
):
    for _ in range(ATTEMPTS * 2):
        assert "Invalid" in _try(server, limited_user.email, "wrong").json()["error_description"]
        _let_time_pass(database_url, limited_user.id)
    assert _try(server, limited_user.email, PASSWORD).status_code == 200


def test_a_name_that_nobody_has_waits_like_one_that_somebody_has(server: IdentityServer):
    name = f"nobody-{uuid.uuid4().hex[:8]}@example.org"
    answers = [_try(server, name, "wrong").json()["error_description"] for _ in range(ATTEMPTS + 1)]
    assert answers[:ATTEMPTS] == ["Invalid user credentials"] * ATTEMPTS
    assert "temporarily disabled" in answers[-1]


def test_an_address_is_turned_away_and_others_are_not(
    server: IdentityServer, limited_user: User, database_url: str
):
    address = "203.0.113.7"
    for _ in range(ADDRESS_ATTEMPTS):
        name = f"nobody-{uuid.uuid4().hex[:8]}@example.org"
        # What the client wrote before it does not count: the proxy's own entry is the last.
        assert _try(server, name, "wrong", f"198.51.100.1, {address}").status_code == 401
    refused = _try(server, limited_user.email, PASSWORD, address)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error_description"]
    assert _try(server, limited_user.email, PASSWORD, "203.0.113.8").status_code == 200
    _let_time_pass(database_url, address)
    assert _try(server, limited_user.email, PASSWORD, address).status_code == 200


def _fail(server: IdentityServer, address: str) -> None:
    for _ in range(ADDRESS_ATTEMPTS):
        assert _try(server, f"nobody-{uuid.uuid4().hex[:8]}@example.org", "wrong", address).status_code == 401


def test_the_addresses_of_one_ipv6_network_count_as_one(server: IdentityServer, limited_user: User):
    _fail(server, "2001:db8:0:1::7")
    assert _try(server, limited_user.email, PASSWORD, "2001:db8:0:1:ffff::9").status_code == 429
    assert _try(server, limited_user.email, PASSWORD, "2001:db8:0:2::7").status_code == 200


def test_a_client_behind_a_proxy_is_limited_whatever_its_address_says(
    server: IdentityServer, limited_user: User, database_url: str
):
    _fail(server, "127.0.0.1")
    assert _try(server, limited_user.email, PASSWORD, "127.0.0.1").status_code == 429
    _let_time_pass(database_url, "127.0.0.1")


def test_nobody_but_a_trusted_proxy_says_where_a_client_is(embedded_server: IdentityServer):
    # This server trusts no proxy, so the header is only what a client wrote.
    user = embedded_server.new_user()
    for address in ("203.0.113.9", "10.0.0.9", "::1", "nonsense"):
        assert _try(embedded_server, user.email, "wrong", address).status_code == 401
        status = embedded_server.backend_admin().get_bruteforce_detection_status(user.id)
        assert status["lastIPFailure"] == "127.0.0.1"


def test_the_gateway_of_this_process_says_where_a_client_is():
    scope = {"type": "http", "client": ("203.0.113.5", 0), "headers": [(b"x-forwarded-for", b"10.0.0.1")]}
    assert origin_of(scope, ()) == Origin("203.0.113.5", "203.0.113.5", local=False)
    assert origin_of({"type": "http", "headers": []}, ()) == Origin("", "", local=False)


def test_only_so_many_failures_are_remembered(server: IdentityServer, limited_user: User, database_url: str):
    _fail(server, "203.0.113.77")
    _try(server, limited_user.email, "wrong", "203.0.113.78")

    async def run() -> None:
        database = Database(database_url)
        try:
            await sweep(database, most_failures=2)
        finally:
            await database.dispose()

    asyncio.run(run())
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select subject from identity.login_failures where kind <> 'user' order by last_failure_at"
        ).fetchall()
    assert len(rows) == 2
    assert rows[-1] == ("203.0.113.78",)
    # What is known of an account stays.
    assert server.backend_admin().get_bruteforce_detection_status(limited_user.id)["numFailures"] == 1


def test_guests_are_made_at_any_rate(server: IdentityServer):
    # A process of this machine that fails often still logs its guests in.
    for _ in range(ADDRESS_ATTEMPTS * 2):
        _try(server, f"nobody-{uuid.uuid4().hex[:8]}@example.org", "wrong")
    for _ in range(3):
        assert server.log_in(server.new_user(attributes={"guest": ["true"]}))["access_token"]


def test_a_browser_is_limited_too(server: IdentityServer, limited_user: User):
    browser = Browser(server)
    page = browser.open()
    for _ in range(ATTEMPTS):
        page = browser.submit(page, username=limited_user.email, password="wrong")
    page = browser.submit(page, username=limited_user.email, password=PASSWORD)
    assert page.forms
    assert "temporarily disabled" in page.text
    server.backend_admin().clear_bruteforce_attempts_for_user(limited_user.id)
    assert answer_of(browser.submit(page, username=limited_user.email, password=PASSWORD))["code"]

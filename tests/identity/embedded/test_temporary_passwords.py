"""The form that replaces a temporary password: good for the password that it was got with."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.identity.browser import Browser, answer_of
from tests.identity.server import IdentityServer, User
from tests.waiting import wait_until

FIELDS = {"password_new": "a password of my own", "password_confirm": "a password of my own"}


@pytest.fixture
def browser(embedded_server: IdentityServer) -> Browser:
    return Browser(embedded_server)


def test_a_form_of_an_earlier_password_has_expired(
    embedded_server: IdentityServer, browser: Browser, user: User
):
    admin = embedded_server.backend_admin()
    admin.set_user_password(user.id, "leaked password", temporary=True)
    page = browser.log_in(user.email, "leaked password")
    assert page.forms
    admin.set_user_password(user.id, "another password", temporary=True)
    sent = browser.submit(page, **FIELDS)
    assert (sent.response.status_code, sent.forms) == (400, [])
    # The new one is still the one to be replaced.
    page = Browser(embedded_server).log_in(user.email, "another password")
    assert "password-new" in page.forms[0]["fields"]


def test_a_form_is_good_after_a_mistake_and_once_only(
    embedded_server: IdentityServer, browser: Browser, user: User
):
    embedded_server.backend_admin().set_user_password(user.id, "temporary password", temporary=True)
    first = browser.log_in(user.email, "temporary password")
    again = browser.submit(first, password_new="a password of my own", password_confirm="a different one")
    assert again.forms
    assert answer_of(browser.submit(again, **FIELDS))["code"]
    assert browser.submit(first, **FIELDS).response.status_code == 400


def test_a_form_without_its_password_has_expired(
    embedded_server: IdentityServer, browser: Browser, user: User
):
    embedded_server.backend_admin().set_user_password(user.id, "temporary password", temporary=True)
    page = browser.log_in(user.email, "temporary password")
    with psycopg.connect(embedded_server.database_url) as connection:
        connection.execute("delete from identity.credentials where user_id = %s", (user.id,))
    assert browser.submit(page, **FIELDS).response.status_code == 400


def test_a_password_that_is_replaced_at_the_same_moment_stays(
    embedded_server: IdentityServer, browser: Browser, user: User
):
    embedded_server.backend_admin().set_user_password(user.id, "temporary password", temporary=True)
    page = browser.log_in(user.email, "temporary password")
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(embedded_server.database_url) as replacing,
        psycopg.connect(embedded_server.database_url, autocommit=True) as watching,
    ):
        replacing.execute("update identity.credentials set created_at = now() where user_id = %s", (user.id,))
        sent = pool.submit(browser.submit, page, **FIELDS)
        waiting = (
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        wait_until(lambda: sent.done() or watching.execute(waiting).fetchone())
        replacing.commit()
        assert (sent.result().response.status_code, sent.result().forms) == (400, [])
    assert Browser(embedded_server).log_in(user.email, "temporary password").forms

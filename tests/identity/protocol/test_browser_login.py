"""The authorization code flow: a browser logs in on the page and its client gets tokens."""

import uuid

import pytest

from tests.identity.browser import Browser, answer_of, target_of
from tests.identity.server import CALLBACK, PASSWORD, IdentityServer, User


@pytest.fixture
def browser(identity_server: IdentityServer) -> Browser:
    """A browser without any cookie."""
    return Browser(identity_server)


def test_a_log_in_ends_with_tokens(identity_server: IdentityServer, browser: Browser, user: User):
    page = browser.open()
    assert page.response.status_code == 200
    assert {"username", "password"} <= set(page.forms[0]["fields"])
    back = browser.submit(page, username=user.email, password=user.password)
    assert target_of(back) == CALLBACK
    answer = answer_of(back)
    assert answer["state"] == "state-of-a-test"
    assert answer["iss"] == identity_server.openid().well_known()["issuer"]
    tokens = browser.exchange(answer["code"])
    assert tokens.status_code == 200
    body = tokens.json()
    claims = identity_server.claims(body["id_token"])
    assert claims["nonce"] == "nonce-of-a-test"
    assert claims["aud"] == "jan-client"
    assert claims["sub"] == user.id
    assert claims["auth_time"] <= claims["iat"]
    assert identity_server.claims(body["access_token"])["sid"] == answer["session_state"]
    assert identity_server.refresh(body["refresh_token"]).status_code == 200


def test_a_wrong_password_shows_the_page_again(browser: Browser, user: User):
    page = browser.log_in(user.email, "wrong")
    assert page.response.status_code == 200
    assert "Invalid" in page.text
    assert page.forms[0]["fields"]["username"] == user.email
    assert page.forms[0]["fields"]["password"] == ""
    unknown = Browser(browser.server).log_in("nobody@example.org", "wrong")
    assert "Invalid" in unknown.text
    # And the same page still lets the right one in.
    assert answer_of(browser.submit(page, username=user.email, password=user.password))["code"]


def test_what_a_person_typed_is_shown_as_text(browser: Browser):
    page = browser.log_in('"><script>alert(1)</script>', "x")
    assert "<script>alert(1)</script>" not in page.response.text


@pytest.mark.parametrize("kind", ["token", "code id_token"])
def test_flows_without_a_code_alone_are_refused_in_the_fragment(browser: Browser, kind: str):
    page = browser.open(response_type=kind)
    assert "#" in page.response.headers["location"]
    assert answer_of(page)["error"] == "unauthorized_client"


def test_a_browser_that_is_logged_in_is_not_asked_again(browser: Browser, user: User):
    first = answer_of(browser.log_in(user.email, user.password))
    again = answer_of(browser.open())
    assert again["session_state"] == first["session_state"]
    assert again["code"] != first["code"]
    assert browser.exchange(again["code"]).status_code == 200
    assert answer_of(browser.open(prompt="none"))["code"]
    # Unless the client wants it to be.
    assert browser.open(prompt="login").forms


def test_without_a_log_in_prompt_none_is_refused(browser: Browser):
    assert answer_of(browser.open(prompt="none"))["error"] == "login_required"


def test_an_ended_session_asks_again(identity_server: IdentityServer, browser: Browser, user: User):
    answer_of(browser.log_in(user.email, user.password))
    identity_server.backend_admin().user_logout(user.id)
    assert browser.open().forms


def test_remember_me_keeps_the_browser_logged_in(
    identity_server: IdentityServer, browser: Browser, user: User
):
    page = browser.open()
    answer_of(browser.submit(page, username=user.email, password=user.password, rememberMe="on"))
    assert identity_server.backend_admin().get_sessions(user.id)[0]["rememberMe"] is True
    # A cookie with an end outlives the browser; one without goes with it.
    assert [cookie for cookie in browser.client.cookies.jar if cookie.expires]


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_the_answer_travels_as_the_client_wishes(browser: Browser, user: User, mode: str):
    page = browser.log_in(user.email, user.password, response_mode=mode)
    if mode == "form_post":
        assert page.forms[0]["action"] == CALLBACK
        assert page.forms[0]["fields"]["code"] or page.forms[0]["fields"]["CODE"]
        return
    assert ("#" in page.response.headers["location"]) is (mode == "fragment")
    assert answer_of(page)["code"]


def test_a_code_is_good_once(identity_server: IdentityServer, browser: Browser, user: User):
    code = answer_of(browser.log_in(user.email, user.password))["code"]
    body = browser.exchange(code).json()
    again = browser.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    # Somebody else has seen it: what it gave is taken back.
    assert identity_server.refresh(body["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": None},
        {"code_verifier": "another-verifier-that-is-long-enough-to-be-one-of-them"},
        {"redirect_uri": "http://localhost:3000/elsewhere"},
        {"redirect_uri": None},
        {"code": "nonsense"},
        {"client_id": "jan-admin"},
    ],
)
def test_a_code_is_for_its_client_its_address_and_its_verifier(
    browser: Browser, user: User, wrong: dict[str, str | None]
):
    code = answer_of(browser.log_in(user.email, user.password))["code"]
    refused = browser.exchange(**{"code": code, **wrong})  # type: ignore[arg-type]
    assert refused.status_code == 400
    assert refused.json()["error"] in ("invalid_grant", "unauthorized_client")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "nonsense"}, "unsupported_response_type"),
        ({"response_mode": "nonsense"}, "invalid_request"),
        ({"scope": "openid everything"}, "invalid_scope"),
    ],
)
def test_a_client_is_told_what_is_wrong_with_its_request(
    browser: Browser, wrong: dict[str, str | None], error: str
):
    page = browser.open(**wrong)
    assert target_of(page) == CALLBACK
    answer = answer_of(page)
    assert answer["error"] == error
    assert answer["state"] == "state-of-a-test"


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "http://evil.example/callback",
        "http://localhost:3000@evil.example/",
        "http://localhost:3000\\@evil.example/",
        "http://localhost:3000.evil.example/",
        "http://localhost:30001/callback",
        "https://localhost:3000/callback",
        "http://localhost:3000/a/../../b",
        "http://localhost:3000/%2e%2e/b",
        "http://localhost:9999/exact?more=1",
        "http://localhost:9999/exact/",
        "http://localhost:9999/exactly",
        "javascript:alert(1)",
        "//evil.example/",
        "/relative",
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(browser: Browser, address: str | None):
    page = browser.open(redirect_uri=address)
    assert page.response.status_code == 400
    assert "location" not in page.response.headers
    assert not page.forms


@pytest.mark.parametrize(
    "address",
    ["http://localhost:9999/exact", "http://localhost:3000/any/path?query=1", "http://127.0.0.1:3001/"],
)
def test_registered_addresses_are_accepted(browser: Browser, user: User, address: str):
    page = browser.log_in(user.email, user.password, redirect_uri=address)
    assert page.response.headers["location"].startswith(address)
    code = answer_of(page)["code"]
    assert browser.exchange(code, redirect_uri=address).status_code == 200


@pytest.mark.parametrize("client", [None, "nobody", "jan-admin"])
def test_clients_without_a_browser_flow_get_a_page_that_says_so(browser: Browser, client: str | None):
    page = browser.open(client_id=client)
    assert page.response.status_code == 400
    assert not page.forms


def test_a_form_is_good_only_in_the_browser_that_got_it(identity_server: IdentityServer, user: User):
    victim, attacker = Browser(identity_server), Browser(identity_server)
    page = attacker.open()
    sent = victim.submit(page, username=user.email, password=user.password)
    assert not sent.response.is_redirect
    assert sent.response.status_code >= 400


def test_people_register_themselves(identity_server: IdentityServer, browser: Browser):
    email = f"new-{uuid.uuid4().hex[:10]}@example.org"
    page = browser.open("registrations")
    assert {"email", "password", "password-confirm"} <= set(page.forms[0]["fields"])
    differing = browser.submit(page, email=email, password=PASSWORD, password_confirm="something else")
    assert differing.forms
    back = browser.submit(
        differing,
        email=email,
        firstName="New",
        lastName="Person",
        password=PASSWORD,
        password_confirm=PASSWORD,
    )
    body = browser.exchange(answer_of(back)["code"]).json()
    claims = identity_server.claims(body["access_token"])
    assert (claims["email"], claims["name"], claims["email_verified"]) == (email, "New Person", False)
    assert claims["groups"] == ["/standard"]
    # The account can be used from now on, and nobody else can have it.
    assert identity_server.openid().token(email, PASSWORD)
    page = Browser(identity_server).open("registrations")
    other = Browser(identity_server)
    page = other.open("registrations")
    taken = other.submit(page, email=email, password=PASSWORD, password_confirm=PASSWORD)
    assert taken.forms
    assert not taken.response.is_redirect


def test_a_temporary_password_is_replaced_at_the_first_log_in(
    identity_server: IdentityServer, browser: Browser, user: User
):
    identity_server.backend_admin().set_user_password(user.id, "temporary password", temporary=True)
    page = browser.log_in(user.email, "temporary password")
    assert {"password-new", "password-confirm"} <= set(page.forms[0]["fields"])
    fields = {"password_new": "a password of my own", "password_confirm": "a password of my own"}
    back = browser.submit(page, **fields)
    assert browser.exchange(answer_of(back)["code"]).status_code == 200
    assert identity_server.openid().token(user.email, "a password of my own")


def test_a_browser_logs_out_and_goes_where_its_client_registered(
    identity_server: IdentityServer, browser: Browser, user: User
):
    body = browser.exchange(answer_of(browser.log_in(user.email, user.password))["code"]).json()
    target = "http://localhost:3000/bye"
    page = browser.visit("logout", id_token_hint=body["id_token"], post_logout_redirect_uri=target, state="s")
    assert target_of(page) == target
    assert answer_of(page) == {"state": "s"}
    assert browser.open().forms
    assert identity_server.refresh(body["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    "target", ["http://evil.example/", "http://localhost:3000@evil.example/", "javascript:x"]
)
def test_a_log_out_sends_nobody_elsewhere(browser: Browser, user: User, target: str):
    body = browser.exchange(answer_of(browser.log_in(user.email, user.password))["code"]).json()
    page = browser.visit("logout", id_token_hint=body["id_token"], post_logout_redirect_uri=target)
    assert page.response.status_code == 400
    assert "location" not in page.response.headers

"""Log-in through the browser: single use, across replicas, and only to registered addresses."""

import base64
import hashlib
import re
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from sqlmodel import update

from jan_server.database.engine import Database
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.login_state import LoginState
from tests.doubles.keycloak import refused
from tests.services.llm_api.conftest import bearer

TARGET = "http://localhost:3000/after"
HOME = "http://localhost:3000/"


@pytest.fixture
def exchange(keycloak):
    """Lets the realm take the code `good`; gives the forms that it was sent."""
    forms = []
    user = keycloak.add_user("somebody")

    async def take_code(request):
        form = await request.post()
        if form["grant_type"] != "authorization_code":
            return None
        forms.append(dict(form))
        if form["code"] != "good":
            return refused(400, "invalid_grant", "Code not valid")
        return keycloak._tokens(user)

    keycloak.script("POST", "/token", take_code)
    return forms


@pytest.fixture
async def scripted(start, keycloak, exchange):
    """An LLM API in front of the scripted realm."""
    return await start(keycloak.url)


async def begin(llm_api, target=TARGET):
    answer = await llm_api.get("/auth/login", params={"redirect_url": target} if target else {})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def come_back(llm_api, **query):
    answer = await llm_api.get("/auth/callback", params=query)
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "no-store"
    return urlsplit(answer.headers["location"])


async def test_the_address_starts_a_code_flow_with_pkce(llm_api, issuer_url):
    started = await begin(llm_api)
    url = urlsplit(started["authorization_url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{issuer_url}/realms/jan/protocol/openid-connect/auth"
    assert query["state"] == started["state"] and len(started["state"]) == 43
    assert query["response_type"] == "code" and query["scope"] == "openid"
    assert query["client_id"] == "jan-client" and query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == "http://localhost:8000/auth/callback"


async def test_a_user_logs_in_through_the_issuers_own_page(llm_api, register, client):
    person = await register("user")
    started = await begin(llm_api)
    async with client.get(started["authorization_url"]) as answer:
        assert answer.status == 200
        page = await answer.text()
        cookies = {name: cookie.value for name, cookie in answer.cookies.items()}
    action = unescape(re.search(r'<form[^>]* action="([^"]+)"', page)[1])
    form = dict(re.findall(r'<input[^>]* type="hidden"[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page))
    form |= {"username": person.email, "password": person.password}
    where = urljoin(started["authorization_url"], action)
    async with client.post(where, data=form, cookies=cookies, allow_redirects=False) as answer:
        assert answer.status in (302, 303), await answer.text()
        location = urlsplit(answer.headers["Location"])
    assert f"{location.netloc}{location.path}" == "localhost:8000/auth/callback"
    query = {name: values[0] for name, values in parse_qs(location.query).items()}
    back = await come_back(llm_api, **query)
    token = parse_qs(back.fragment)["access_token"][0]
    me = await llm_api.get("/auth/me", headers=bearer(token))
    assert me.json()["subject"] == person.id


async def test_the_callback_brings_tokens_in_the_fragment(scripted, exchange):
    started = await begin(scripted)
    challenge = parse_qs(urlsplit(started["authorization_url"]).query)["code_challenge"][0]
    back = await come_back(scripted, code="good", state=started["state"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == TARGET and back.query == ""
    fragment = parse_qs(back.fragment)
    assert set(fragment) == {"access_token", "refresh_token", "expires_in", "token_type", "state"}
    assert fragment["state"] == [started["state"]]
    digest = hashlib.sha256(exchange[0]["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge


async def test_another_replica_can_take_the_callback(start, keycloak, exchange):
    started = await begin(await start(keycloak.url))
    back = await come_back(await start(keycloak.url), code="good", state=started["state"])
    assert "access_token" in back.fragment


async def test_a_cookie_marks_the_browser_that_begins(scripted, exchange):
    answer = await scripted.get("/auth/login", headers={"X-Forwarded-Proto": "https"})
    told = answer.headers["set-cookie"]
    value = re.match(r"jan_login_[0-9a-f]{16}=([0-9a-f]{64});", told)[1]
    assert value == hashlib.sha256(answer.json()["state"].encode()).hexdigest()
    assert {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax", "Secure"} <= set(told.split("; "))
    plain = await scripted.get("/auth/login")
    assert "Secure" not in plain.headers["set-cookie"]
    callback = {"code": "good", "state": plain.json()["state"]}
    back = await scripted.get("/auth/callback", params=callback)
    assert re.match(r'jan_login_[0-9a-f]{16}=""; .*Max-Age=0', back.headers["set-cookie"])


async def test_where_the_cookie_is_required_no_other_browser_ends_a_log_in(start, keycloak, exchange):
    llm_api = await start(keycloak.url, login_cookie_required=True)
    theirs, ours = await begin(llm_api), await begin(llm_api)
    kept = dict(llm_api.cookies)
    assert len(kept) == 2
    for cookies in ({}, dict.fromkeys(kept, "0" * 64)):
        llm_api.cookies = cookies
        back = await come_back(llm_api, code="good", state=theirs["state"])
        assert back.geturl().startswith(HOME) and back.fragment == ""
        assert "error=invalid_state" in back.query and exchange == []
    llm_api.cookies = kept
    # Log-ins of two tabs do not disturb one another, and a stranger's attempt used nothing up.
    for started in (ours, theirs):
        back = await come_back(llm_api, code="good", state=started["state"])
        assert "access_token" in back.fragment


async def test_a_state_serves_once(scripted, exchange):
    started = await begin(scripted)
    await come_back(scripted, code="good", state=started["state"])
    back = await come_back(scripted, code="good", state=started["state"])
    assert back.geturl().startswith(HOME) and "error=invalid_state" in back.query
    assert back.fragment == "" and len(exchange) == 1


async def test_a_state_ends_after_its_time(scripted, exchange, database_url):
    started = await begin(scripted)
    database = Database(database_url)
    async with database.session() as session:
        await session.exec(update(LoginState).values(expires_at=now()))
    await database.dispose()
    back = await come_back(scripted, code="good", state=started["state"])
    assert "error=invalid_state" in back.query and exchange == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, "invalid_request"),
        ({"code": "good"}, "invalid_request"),
        ({"state": "x"}, "invalid_request"),
        ({"code": "good", "state": "unknown"}, "invalid_state"),
        ({"error": "access_denied", "error_description": "No, & no", "state": "x"}, "access_denied"),
    ],
)
async def test_failures_lead_home(llm_api, query, error):
    back = await come_back(llm_api, **query)
    assert back.geturl().startswith(HOME) and back.fragment == ""
    told = parse_qs(back.query)
    assert told["error"] == [error] and told["error_description"]


async def test_a_refused_code_is_told_where_the_log_in_began(scripted, exchange):
    started = await begin(scripted, "http://localhost:3001/chat?view=1")
    back = await come_back(scripted, code="bad", state=started["state"])
    assert back.netloc == "localhost:3001" and back.fragment == ""
    assert parse_qs(back.query) == {
        "view": ["1"],
        "error": ["token_exchange_failed"],
        "error_description": ["Code not valid"],
    }


async def test_an_identity_server_that_is_away_leads_home_with_server_error(scripted, keycloak):
    started = await begin(scripted)
    keycloak.down = True
    back = await come_back(scripted, code="good", state=started["state"])
    assert back.geturl().startswith(HOME) and "error=server_error" in back.query


async def test_without_an_address_the_log_in_leads_home(scripted, exchange):
    started = await begin(scripted, "")
    back = await come_back(scripted, code="good", state=started["state"])
    assert back.geturl().startswith(HOME) and "access_token" in back.fragment


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:3000/",
        "http://localhost:3000",
        "http://LOCALHOST:3000/a/b?c=d",
        "http://127.0.0.1:3001/anything",
        "http://localhost:8000/auth/callback",
        "http://127.0.0.1:8080/auth/google/callback",
    ],
)
async def test_registered_addresses_are_accepted(llm_api, target):
    await begin(llm_api, target)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.org/",
        "https://chat.jan.ai/auth/keycloak/callback",
        "http://localhost:3000@evil.example.org/",
        "http://localhost:3000.evil.example.org/",
        "http://user@localhost:3000/",
        "http://localhost:30000/",
        "https://localhost:3000/",
        "http://localhost:8000/auth/callback/../me",
        "http://localhost:8000/auth/callback?next=x",
        "http://localhost:3000/#fragment",
        "http://localhost:3000\\@evil.example.org/",
        "http://localhost:3000/\r\nSet-Cookie: a=b",
        "//evil.example.org/",
        "javascript:alert(1)",
        "http://localhost:99999/",
        "/relative",
    ],
)
async def test_other_addresses_are_refused(llm_api, target):
    answer = await llm_api.get("/auth/login", params={"redirect_url": target})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "redirect_url"


async def test_operators_can_register_addresses(start, keycloak):
    llm_api = await start(keycloak.url, login_redirects=["https://chat.example.org/app/*"])
    await begin(llm_api, "https://chat.example.org/app/home")
    for target in ("https://chat.example.org/", "https://chat.example.org/app/%2e%2e/x", TARGET):
        answer = await llm_api.get("/auth/login", params={"redirect_url": target})
        assert answer.status_code == 400, target

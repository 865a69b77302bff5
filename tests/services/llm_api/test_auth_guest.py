"""Guest log-in: a whole user at once, or nothing that stays behind."""

import asyncio

import pytest
from aiohttp import web
from sqlmodel import select

from jan_server.database.engine import Database
from jan_server.services.llm_api.tables.user import User
from tests.doubles.keycloak import refused
from tests.services.llm_api.conftest import bearer, eventually


@pytest.mark.parametrize("prefix", ["", "/llm"])
async def test_a_guest_is_made_logged_in_and_recognised(llm_api, accounts, prefix):
    answer = await llm_api.post(f"{prefix}/auth/guest-login", content=b"anything")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    guest = answer.json()
    assert guest["username"].startswith("guest-")
    assert guest["principal_id"] == guest["user_id"]
    assert guest["token_type"] == "Bearer" and guest["expires_in"] == 3600
    account = await accounts.find(guest["user_id"])
    assert account.email == f"{guest['username']}@temp.jan.ai"
    assert account.guest and account.enabled
    assert "guest" in (await accounts.rights(account.id)).roles

    me = (await llm_api.get("/auth/me", headers=bearer(guest["access_token"]))).json()
    assert me["subject"] == guest["user_id"]
    assert me["guest"] is True and me["is_admin"] is False and "guest" in me["roles"]


async def test_many_guests_may_come_from_one_address(llm_api):
    answers = await asyncio.gather(*(llm_api.post("/auth/guest-login") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["user_id"] for answer in answers}) == 8


async def test_a_quota_can_be_set_for_each_address(start, issuer_url):
    llm_api = await start(issuer_url, guest_logins_per_hour=2)

    async def status(address):
        return (await llm_api.post("/auth/guest-login", headers={"X-Real-IP": address})).status_code

    assert [await status("192.0.2.1") for _ in range(3)] == [201, 201, 429]
    assert await status("192.0.2.2") == 201
    answer = await llm_api.post("/auth/guest-login", headers={"X-Real-IP": "192.0.2.1"})
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    assert answer.json()["error"]["code"] == "guest_quota_exceeded"


@pytest.mark.parametrize(
    ("method", "ending"),
    [("POST", "/role-mappings/realm"), ("GET", "/roles/guest")],
    ids=["role not given", "role not found"],
)
async def test_a_guest_that_cannot_be_finished_is_removed(start, keycloak, database_url, method, ending):
    async def refuse(_):
        return refused(400, "unknown_error", "the realm says no")

    keycloak.script(method, ending, refuse)
    answer = await (await start(keycloak.url)).post("/auth/guest-login")
    assert answer.status_code == 502
    assert "failed to provision guest" in answer.json()["message"]
    assert "the realm says no" in answer.json()["error"]["message"]
    assert keycloak.users == {}
    assert await subjects_in(database_url, keycloak.issuer) == []


async def test_a_guest_whose_first_log_in_fails_is_removed(start, keycloak, database_url):
    async def refuse_passwords(request):
        form = await request.post()
        return refused(401, "invalid_grant", "no") if form["grant_type"] == "password" else None

    keycloak.script("POST", "/token", refuse_passwords)
    answer = await (await start(keycloak.url)).post("/auth/guest-login")
    assert answer.status_code == 502
    assert keycloak.users == {}
    assert await subjects_in(database_url, keycloak.issuer) == []


async def test_an_account_whose_creation_was_not_confirmed_is_looked_up_and_removed(start, keycloak):
    async def make_and_say_nothing(request):
        await keycloak._create(request)
        return web.Response(status=502, text="bad gateway")

    keycloak.script("POST", "/users", make_and_say_nothing)
    answer = await (await start(keycloak.url)).post("/auth/guest-login")
    assert answer.status_code == 503
    assert keycloak.users == {}


async def test_an_identity_server_that_is_away_means_503_and_soon_works_again(start, keycloak):
    llm_api = await start(keycloak.url)
    keycloak.down = True
    answer = await llm_api.post("/auth/guest-login")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "the identity server cannot be reached; try again shortly"
    keycloak.down = False

    async def works():
        return (await llm_api.post("/auth/guest-login")).status_code == 201

    await eventually(works)


async def test_a_wrong_service_account_is_not_told_to_guests(start, keycloak):
    async def refuse_service(request):
        form = await request.post()
        is_service = form["grant_type"] == "client_credentials"
        return refused(401, "unauthorized_client", "Invalid client secret") if is_service else None

    keycloak.script("POST", "/token", refuse_service)
    answer = await (await start(keycloak.url)).post("/auth/guest-login")
    assert answer.status_code == 503
    assert "secret" not in answer.text


async def subjects_in(database_url, issuer):
    database = Database(database_url)
    try:
        async with database.session() as session:
            return list(await session.exec(select(User.subject).where(User.issuer == issuer)))
    finally:
        await database.dispose()

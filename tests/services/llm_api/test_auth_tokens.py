"""Refresh, logout, validate, revoke, and who the caller is."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.services.llm_api.conftest import bearer

REFRESH = "/auth/refresh-token"


@pytest.fixture
async def person(register):
    return await register("user")


async def test_refresh_takes_the_token_from_the_body(llm_api, person):
    answer = await llm_api.post("/llm" + REFRESH, json={"refresh_token": person.refresh_token})
    assert answer.status_code == 200
    tokens = answer.json()
    assert tokens["access_token"] and tokens["refresh_token"] and tokens["token_type"] == "Bearer"
    ends = datetime.fromisoformat(tokens["expires_at"]) - datetime.now(UTC)
    assert abs(ends.total_seconds() - tokens["expires_in"]) < 10
    assert (await llm_api.get("/auth/me", headers=bearer(tokens["access_token"]))).status_code == 200


@pytest.mark.parametrize("place", ["cookie", "authorization", "authorization without a scheme"])
async def test_refresh_looks_elsewhere_when_there_is_no_body(llm_api, person, place):
    headers = {
        "cookie": {"Cookie": f"refresh_token={person.refresh_token}"},
        "authorization": bearer(person.refresh_token),
        "authorization without a scheme": {"Authorization": person.refresh_token},
    }[place]
    assert (await llm_api.post(REFRESH, headers=headers)).status_code == 200


async def test_refresh_does_not_look_elsewhere_when_the_body_lacks_the_token(llm_api, person):
    answer = await llm_api.post(REFRESH, json={}, headers=bearer(person.refresh_token))
    assert answer.status_code == 400
    assert answer.json()["message"] == "refresh_token required"
    assert answer.json()["error"]["param"] == "refresh_token"
    assert (await llm_api.post(REFRESH)).status_code == 400


async def test_a_used_or_invented_refresh_token_is_refused(llm_api, person):
    await llm_api.post(REFRESH, json={"refresh_token": person.refresh_token})
    for token in (person.refresh_token, "invented"):
        answer = await llm_api.post(REFRESH, json={"refresh_token": token})
        assert answer.status_code == 401
        assert answer.json()["message"].startswith("failed to refresh token")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_logout_ends_the_session_and_drops_the_cookie(llm_api, person, method):
    headers = {"Cookie": f"refresh_token={person.refresh_token}"}
    answer = await llm_api.request(method, "/auth/logout", headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"status": "logged out"}
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("refresh_token=")
    for part in ("path=/", "httponly", "secure", "samesite=none", "max-age=0"):
        assert part in cookie
    refused = await llm_api.post(REFRESH, json={"refresh_token": person.refresh_token})
    assert refused.status_code == 401


@pytest.mark.parametrize("token", ["", "x", "short", "an invented one of more than thirty characters"])
async def test_logout_needs_no_living_session(llm_api, token):
    assert (await llm_api.post("/auth/logout", json={"refresh_token": token})).status_code == 200
    assert (await llm_api.post("/auth/logout", headers=bearer(token))).status_code == 200


async def test_logout_does_not_claim_what_it_could_not_do(start, keycloak):
    llm_api = await start(keycloak.url)
    keycloak.down = True
    answer = await llm_api.post("/auth/logout", json={"refresh_token": "a token"})
    assert answer.status_code == 503
    assert answer.headers["set-cookie"].startswith("refresh_token=")


async def test_validate_asks_the_identity_server(llm_api, person):
    answer = await llm_api.post("/auth/validate", headers=person.headers)
    assert answer.status_code == 200
    assert answer.json()["valid"] is True
    assert answer.json()["user_info"]["sub"] == person.id


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "Missing Authorization header"),
        ({"Authorization": "Basic abc"}, "Invalid Authorization header format"),
        ({"Authorization": "Bearer not.a.token"}, "Token validation failed"),
    ],
)
async def test_validate_says_what_is_wrong(llm_api, header, message):
    answer = await llm_api.post("/auth/validate", headers=header)
    assert answer.status_code == 401
    assert answer.json()["message"].startswith(message)


async def test_revoke_ends_a_refresh_token(llm_api, person):
    answer = await llm_api.post("/auth/revoke", json={"refresh_token": person.refresh_token})
    assert answer.status_code == 200
    assert answer.json() == {"message": "Token revoked successfully"}
    again = await llm_api.post(REFRESH, json={"refresh_token": person.refresh_token})
    assert again.status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"refresh_token":7}', b'{"refresh_token":""}'])
async def test_revoke_wants_a_token(llm_api, body):
    answer = await llm_api.post("/auth/revoke", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_me_describes_the_caller(llm_api, register):
    admin = await register("user", "admin")
    answer = (await llm_api.get("/llm/auth/me", headers=admin.headers)).json()
    assert answer["id"] == answer["subject"] == admin.id
    assert answer["auth_method"] == "jwt"
    assert answer["email"] == admin.email and answer["name"]
    assert answer["is_admin"] is True and answer["guest"] is False


async def test_a_kept_connection_that_ended_is_not_an_outage(start, keycloak):
    llm_api = await start(keycloak.url)
    assert (await llm_api.post("/auth/guest-login")).status_code == 201
    dropped = []

    async def drop_once(request):
        if not dropped:
            dropped.append(request.path)
            request.transport.abort()
            raise asyncio.CancelledError

    keycloak.script("POST", "/token", drop_once)
    assert (await llm_api.post("/auth/guest-login")).status_code == 201
    assert dropped


async def test_everything_says_503_while_the_identity_server_is_away(start, keycloak):
    llm_api = await start(keycloak.url)
    keycloak.down = True
    for call in (
        llm_api.post(REFRESH, json={"refresh_token": "a token"}),
        llm_api.post("/auth/validate", headers=bearer("a token")),
        llm_api.post("/auth/revoke", json={"refresh_token": "a token"}),
        llm_api.get("/auth/me", headers=bearer("eyJhbGciOiJSUzI1NiIsImtpZCI6InRlc3Qta2V5In0.e30.c2ln")),
    ):
        answer = await call
        assert answer.status_code == 503, answer.request.url
        assert answer.json()["error"]["type"] == "service_unavailable_error"

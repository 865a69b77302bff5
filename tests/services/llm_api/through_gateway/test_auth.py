"""Log-in and sessions through the gateway: guests, refreshing, logging out, the browser, keys."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import jwt
import pytest

from jan_server.services.llm_api.tables.email_proof import EmailProof
from tests.services.llm_api.platform import TRUST
from tests.services.llm_api.through_gateway.stack import PASSWORD, Visitor, WholeStack, fresh_name


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


@pytest.mark.route("POST /auth/guest-login", "GET /auth/me")
async def test_a_guest_is_somebody(visitor: Visitor) -> None:
    made = await visitor.post("/auth/guest-login", status=201)
    assert made["user_id"] == made["principal_id"] == claims(made["access_token"])["sub"]
    assert re.fullmatch(r"guest-[0-9a-f-]{36}", made["username"])
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 3600)
    assert made["refresh_token"]
    me = await visitor.with_token(made["access_token"]).get("/auth/me")
    assert (
        me.items()
        >= {
            "id": made["user_id"],
            "subject": made["user_id"],
            "auth_method": "jwt",
            "is_admin": False,
        }.items()
    )
    assert "guest" in me["roles"]


@pytest.mark.route("POST /auth/refresh-token", "POST /auth/upgrade")
async def test_an_upgraded_guest_is_none_from_its_next_token_on(visitor: Visitor) -> None:
    made = await visitor.post("/auth/guest-login", status=201)
    guest = visitor.with_token(made["access_token"])
    conversation = await guest.post("/v1/conversations", {"title": "From before"})
    email = f"{fresh_name('bea')}@example.org"
    wish = {"email": email, "full_name": "Bea Lee", "username": "another name"}
    assert await guest.post("/auth/upgrade", wish) == {"status": "upgraded"}
    assert claims(made["access_token"])["guest"] == "true"
    fresh = await visitor.post("/auth/refresh-token", {"refresh_token": made["refresh_token"]})
    assert fresh.keys() >= {"access_token", "refresh_token", "token_type", "expires_in", "expires_at"}
    told = claims(fresh["access_token"])
    assert (told["sub"], told["guest"], told["email"]) == (made["user_id"], "false", email)
    assert (told["email_verified"], told["given_name"]) == (False, "Bea Lee")
    same = visitor.with_token(fresh["access_token"])
    assert await same.get(f"/v1/conversations/{conversation['id']}") == conversation


@pytest.mark.route("GET /auth/verify-email", "POST /auth/verify-email")
async def test_an_address_is_proved_by_a_link_that_came_by_mail(visitor: Visitor, stack: WholeStack) -> None:
    made = await visitor.post("/auth/guest-login", status=201)
    guest, email = visitor.with_token(made["access_token"]), f"{fresh_name('cleo')}@example.org"
    await guest.post("/auth/upgrade", {"email": email})
    token = fresh_name("token")
    resources = stack.llm_api.state.resources
    async with resources.database.session() as session:
        session.add(
            EmailProof(
                token_hash=hashlib.sha256(token.encode()).hexdigest(),
                issuer=resources.settings.infrastructure.auth.keycloak.issuer,
                subject=made["user_id"],
                email=email,
                expires_at=datetime.now(UTC) + timedelta(minutes=1),
            )
        )
    page = await visitor.send("GET", "/auth/verify-email", params={"token": token})
    assert f'value="{token}"' in page.text
    assert await visitor.post("/auth/verify-email", {"token": token}) == {
        "status": "verified",
        "email": email,
    }
    fresh = await visitor.post("/auth/refresh-token", {"refresh_token": made["refresh_token"]})
    assert claims(fresh["access_token"])["email_verified"] is True


async def test_a_refresh_token_may_be_in_body_cookie_or_header(visitor: Visitor) -> None:
    token = (await visitor.post("/auth/guest-login", status=201))["refresh_token"]
    path = "/auth/refresh-token"
    for name, prefix in (("Cookie", "refresh_token="), ("Authorization", "Bearer "), ("Authorization", "")):
        answer = await visitor.send("POST", path, headers={name: prefix + token})
        token = answer.json()["refresh_token"]
    assert "refresh_token required" in (await visitor.post(path, {}, status=400))["message"]
    await visitor.post(path, {"refresh_token": "made up"}, status=401)


@pytest.mark.route("POST /auth/logout", "GET /auth/logout")
async def test_who_logs_out_cannot_refresh_any_more(visitor: Visitor) -> None:
    for method in ("POST", "GET"):
        token = (await visitor.post("/auth/guest-login", status=201))["refresh_token"]
        out = await visitor.send(method, "/auth/logout", headers={"Authorization": f"Bearer {token}"})
        assert out.json() == {"status": "logged out"}
        cookie = out.headers["set-cookie"]
        assert (cookie.startswith("refresh_token=") and "01 Jan 1970" in cookie) or "Max-Age=0" in cookie
        await visitor.post("/auth/refresh-token", {"refresh_token": token}, status=401)
        await visitor.send(method, "/auth/logout", headers={"Authorization": "Bearer short"})


@pytest.mark.route("POST /auth/validate", "POST /auth/revoke")
async def test_a_revoked_session_validates_no_more(visitor: Visitor) -> None:
    made = await visitor.post("/auth/guest-login", status=201)
    guest = visitor.with_token(made["access_token"])
    found = await guest.post("/auth/validate")
    assert found["valid"] is True and found["user_info"]["sub"] == made["user_id"]
    await visitor.post("/auth/validate", status=401)
    revoked = await visitor.post("/auth/revoke", {"refresh_token": made["refresh_token"]})
    assert revoked == {"message": "Token revoked successfully"}
    await visitor.post("/auth/refresh-token", {"refresh_token": made["refresh_token"]}, status=401)


@pytest.mark.route("GET /auth/login", "GET /auth/callback")
async def test_a_browser_logs_in_by_the_issuers_page(visitor: Visitor, root: Visitor) -> None:
    email = f"{fresh_name('cleo')}@example.org"
    user = await root.post("/v1/admin/users", {"email": email, "password": PASSWORD}, status=201)
    started = await visitor.get("/auth/login", redirect_url="http://localhost:3000/after")
    query = parse_qs(urlsplit(started["authorization_url"]).query)
    assert query["state"] == [started["state"]] and query["code_challenge_method"] == ["S256"]
    async with httpx.AsyncClient(verify=TRUST) as browser:
        page = (await browser.get(started["authorization_url"])).text
        [action] = re.findall(r'<form[^>]* action="([^"]+)"', page)
        form = dict(re.findall(r'<input[^>]* type="hidden"[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page))
        where = urljoin(started["authorization_url"], unescape(action))
        for cookie in browser.cookies.jar:
            # Browsers send secure cookies to this machine without TLS as well; httpx does not.
            cookie.secure = False
        sent = await browser.post(where, data={**form, "username": email, "password": PASSWORD})
    back = urlsplit(sent.headers["location"])
    assert back.path == "/auth/callback"
    came = await visitor.send("GET", "/auth/callback", status=302, params=parse_qs(back.query))
    target = urlsplit(came.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == "http://localhost:3000/after"
    tokens = parse_qs(target.fragment)
    assert tokens.keys() >= {"access_token", "refresh_token", "expires_in", "token_type"}
    me = await visitor.with_token(tokens["access_token"][0]).get("/auth/me")
    assert me["subject"] == user["id"]
    again = await visitor.send("GET", "/auth/callback", status=302, params=parse_qs(back.query))
    assert (
        "error=" in again.headers["location"] and "token" not in urlsplit(again.headers["location"]).fragment
    )
    await visitor.get("/auth/login", status=400, redirect_url="https://evil.example/")


async def test_a_password_is_exchanged_at_the_gateway_alone(visitor: Visitor) -> None:
    form = {"grant_type": "password", "client_id": "jan-client", "username": "nobody", "password": "x"}
    refused = await visitor.client.post("/auth/realms/jan/protocol/openid-connect/token", data=form)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_grant")
    for path in ("/auth/realms/master/protocol/openid-connect/token", "/auth/admin/realms/jan/users"):
        assert (await visitor.client.post(path, data=form)).status_code == 404

"""Who comes in through the file that ships: tokens, keys, both and neither; and what is never believed."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import orjson
import pytest

from jan_server.gateway.shipped_file import render
from tests.gateway.conftest import Answer, Running, Start, identity_of
from tests.gateway.platform import GOOD_KEY, OTHER_KEY, LlmApi, platform, settings_for
from tests.gateway.realm import Realm
from tests.gateway.serving import free_port

PROTECTED = ["/v1/models", "/llm/v1/models", "/media/v1/media", "/responses/v1/responses", "/v1/responses"]
PUBLIC = [
    "/",
    "/healthz",
    "/readyz",
    "/llm/healthz",
    "/auth/login",
    "/llm/auth/login",
    "/api/swagger/index.html",
    "/v1/public/shares/abc",
    "/v1/prompt-templates/deep-research",
    "/llm/v1/prompt-templates/deep-research",
    "/v1/mcp-tools",
    "/v1/mcp-tools/google_search",
    "/llm/v1/mcp-tools",
    "/llm/v1/mcp-tools/google_search",
    "/media/healthz",
    "/media/readyz",
    "/responses/healthz",
    "/responses/readyz",
    "/api/media/jan_1",
    "/realms/jan/.well-known/openid-configuration",
    "/auth/realms/jan/protocol/openid-connect/certs",
]


@pytest.fixture(scope="module")
def shared_llm_api() -> LlmApi:
    return LlmApi()


@pytest.fixture
def llm_api(shared_llm_api: LlmApi) -> LlmApi:
    shared_llm_api.reset()
    return shared_llm_api


@pytest.fixture(scope="module")
async def gateway(
    realm: Realm, client: aiohttp.ClientSession, shared_llm_api: LlmApi
) -> AsyncIterator[Running]:
    apps = dict.fromkeys(("llm-api", "media-api", "response-api", "mcp-tools", "identity"), shared_llm_api)
    async with platform(realm, client, apps, rate_limits_enabled=False) as running:
        yield running


def refused(reply: Answer, message: str, code: str, status: int = 401) -> None:
    assert reply.status == status, reply.body
    body = reply.json
    assert body["message"] == body["error"]["message"] == message
    assert body["code"] == body["error"]["code"] == code
    assert body["request_id"] == reply.headers["X-Request-Id"]
    if status == 401:
        assert body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("path", PROTECTED)
async def test_nobody_comes_in_without_a_credential(gateway: Running, llm_api: LlmApi, path: str) -> None:
    reply = await gateway.get(path)
    refused(reply, "Unauthorized", "missing_credential")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert llm_api.asked == 0


@pytest.mark.parametrize("path", PUBLIC)
async def test_public_paths_ask_for_none_and_stand_one(
    gateway: Running, llm_api: LlmApi, realm: Realm, path: str
) -> None:
    assert (await gateway.get(path)).status == 200
    credentials = {"Authorization": "Bearer nonsense"}
    if "/auth/login" not in path:
        credentials["X_API_Key"] = "sk_nonsense"
    assert (await gateway.get(path, **credentials)).status == 200
    assert "x-jan-identity" not in llm_api.headers
    assert llm_api.validated == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/mcp-tools/%2e%2e%2fmodels", 400),
        ("/llm/v1/mcp-tools/..%2fmodels", 400),
        ("/v1/prompt-templates/a%2f..%2f..%2fmodels", 400),
        ("/v1/public/shares/..%2F..%2Fmodels", 400),
        ("/v1/mcp-tools/x%2fy", 401),
        ("/llm/v1/prompt-templates/x%2Fy", 401),
        ("/v1/mcp-toolsx", 401),
        ("/v1/public/sharesx", 401),
        ("/v1/public/shares%2fx", 401),
        ("/healthzx", 404),
        ("/readyz%2fx", 404),
        ("/authx", 404),
        ("/api/swaggerx", 404),
        ("/api/mediax", 404),
    ],
)
async def test_public_paths_open_nothing_beside_them(
    gateway: Running, llm_api: LlmApi, path: str, status: int
) -> None:
    reply = await gateway.ask("GET", path)
    assert (reply.status, llm_api.asked) == (status, 0), reply.body


async def test_a_token_of_the_realm_comes_in(gateway: Running, llm_api: LlmApi, realm: Realm) -> None:
    token = realm.token(groups=["/pilot_users"], feature_flags=["experimental_models"])
    reply = await gateway.get("/v1/models", Authorization=f"Bearer {token}")
    assert reply.status == 200
    principal = identity_of(llm_api)
    assert (principal.subject, principal.method, principal.username) == ("user-1", "jwt", "ada")
    assert (principal.roles, principal.groups) == (("user",), ("/pilot_users",))
    assert llm_api.headers["authorization"] == f"Bearer {token}"
    assert llm_api.headers["x-auth-method"] == "jwt"
    assert llm_api.headers["x-gateway-auth"] == "kong"
    assert not [name for name in llm_api.headers if name.startswith("x-consumer")]
    assert llm_api.last["path"] == "/v1/models"


async def test_a_token_may_stand_in_the_query(gateway: Running, realm: Realm) -> None:
    assert (await gateway.get(f"/v1/models?jwt={realm.token()}")).status == 200
    refused(await gateway.get("/v1/models?jwt=a&jwt=b"), "Multiple tokens provided", "invalid_token")


@pytest.mark.parametrize(
    ("changes", "message", "code"),
    [
        ({"exp": int(time.time()) - 5}, "token expired", "token_expired"),
        ({"exp": None}, "invalid token", "invalid_token"),
        ({"sub": None}, "invalid token", "invalid_token"),
        ({"nbf": int(time.time()) + 120}, "invalid token", "invalid_token"),
        (
            {"iss": "http://localhost:8085/realms/other"},
            "No credentials found for given 'iss'",
            "invalid_token",
        ),
        ({"iss": None}, "No mandatory 'iss' in claims", "invalid_token"),
        ({"azp": "somebody-else"}, "invalid token: its authorized party is not accepted", "invalid_token"),
        ({"aud": "somebody-else"}, "invalid token audience", "invalid_token"),
        ({"typ": "Refresh"}, "invalid token: it is not an access token", "invalid_token"),
        ({"exp": int(time.time()) + 90_000}, "invalid token: it lives longer than allowed", "invalid_token"),
    ],
)
async def test_a_token_that_does_not_hold_is_refused(
    gateway: Running, llm_api: LlmApi, realm: Realm, changes: dict[str, Any], message: str, code: str
) -> None:
    refused(await gateway.ask("GET", "/v1/models", headers=realm.bearer(**changes)), message, code)
    assert llm_api.asked == 0


async def test_no_one_signs_for_the_realm_but_the_realm(
    gateway: Running, llm_api: LlmApi, realm: Realm
) -> None:
    claims = realm.claims()
    stranger = Realm(realm.issuer)
    part = lambda value: base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()  # noqa: E731
    good = realm.token()
    head, body, signature = good.split(".")
    forged = [
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}.",
        f"{part({'alg': 'None'})}.{part(claims)}.{signature}",
        jwt.encode(claims, realm.public_pem.encode()[:64], algorithm="HS256", headers={"kid": realm.kid}),
        stranger.token(),
        jwt.encode(claims, stranger.key, algorithm="RS256", headers={"kid": realm.kid}),
        jwt.encode(claims, realm.key, algorithm="RS384", headers={"kid": realm.kid}),
        f"{head}.{part({**claims, 'sub': 'root'})}.{signature}",
        f"{head}.{body}.",
        "x.y.z",
        "nonsense",
    ]
    for token in forged:
        reply = await gateway.get("/v1/models", Authorization=f"Bearer {token}")
        assert reply.status == 401, token
        assert reply.json["code"] == "invalid_token"
    assert llm_api.asked == 0
    assert (await gateway.get("/v1/models", Authorization=f"Bearer {good}")).status == 200


@pytest.mark.parametrize("header", ["X-User-ID", "X-Consumer-ID", "X-Jan-Identity", "X-Auth-Method"])
async def test_a_forged_header_is_no_credential(gateway: Running, llm_api: LlmApi, header: str) -> None:
    forged = {header: "1", "X-User-Subject": "root", "X-Credential-Identifier": "1"}
    assert (await gateway.ask("GET", "/v1/models", headers=forged)).status == 401
    assert (await gateway.ask("GET", "/auth/me", headers=forged)).status == 200
    assert not {header.lower(), "x-user-subject", "x-credential-identifier"} & set(llm_api.headers)


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize("header", ["X-API-Key", "apikey", "Authorization"])
async def test_a_key_comes_in_for_every_service(
    gateway: Running, llm_api: LlmApi, header: str, path: str
) -> None:
    value = f"Bearer {GOOD_KEY}" if header == "Authorization" else GOOD_KEY
    assert (await gateway.ask("GET", path, headers={header: value})).status == 200
    principal = identity_of(llm_api)
    assert (principal.subject, principal.method, principal.user_id) == ("user-1", "apikey", "7")
    assert principal.roles == ("user", "admin")
    assert principal.key_id == "key-of-user-1"
    sent = llm_api.headers
    assert (sent["x-user-id"], sent["x-user-subject"], sent["x-auth-method"]) == ("7", "user-1", "apikey")
    assert header.lower() not in sent
    assert GOOD_KEY not in str(llm_api.last)


async def test_what_the_validator_says_cannot_end_a_header(gateway: Running, llm_api: LlmApi) -> None:
    assert (await gateway.get("/v1/models", X_API_Key=OTHER_KEY)).status == 200
    assert "x-injected" not in llm_api.headers
    assert llm_api.headers["x-user-username"].encode("latin-1").decode() == "böb  X-Injected: 1"


async def test_a_revoked_key_is_refused_from_the_next_request_on(gateway: Running, llm_api: LlmApi) -> None:
    assert (await gateway.get("/v1/models", X_API_Key=GOOD_KEY)).status == 200
    del llm_api.keys[GOOD_KEY]
    refused(await gateway.get("/v1/models", X_API_Key=GOOD_KEY), "Invalid API key", "invalid_api_key")
    refused(
        await gateway.get("/v1/models", Authorization=f"Bearer {GOOD_KEY}"),
        "Invalid API key",
        "invalid_api_key",
    )


async def test_what_is_no_key_is_no_credential_and_no_validators_business(
    gateway: Running, llm_api: LlmApi, realm: Realm
) -> None:
    refused(await gateway.get("/v1/models", X_API_Key="hello"), "Invalid API key", "invalid_api_key")
    refused(await gateway.get("/v1/models", X_API_Key=" "), "Unauthorized", "missing_credential")
    assert llm_api.validated == 0
    headers = {**realm.bearer(), "X-API-Key": "hello"}
    assert (await gateway.ask("GET", "/v1/models", headers=headers)).status == 200
    assert llm_api.headers["x-api-key"] == "hello"


@pytest.mark.parametrize("path", ["/auth/me", "/llm/auth/api-keys"])
@pytest.mark.parametrize("header", ["X-API-Key", "apikey", "Authorization"])
async def test_on_session_routes_a_key_speaks_for_its_owner(
    gateway: Running, llm_api: LlmApi, header: str, path: str
) -> None:
    value = f"Bearer {GOOD_KEY}" if header == "Authorization" else GOOD_KEY
    assert (await gateway.ask("GET", path, headers={header: value})).status == 200
    principal = identity_of(llm_api)
    assert (principal.subject, principal.method, principal.key_id) == ("user-1", "apikey", "key-of-user-1")
    assert header.lower() not in llm_api.headers


@pytest.mark.parametrize("key", ["sk_unknown", "hello"])
async def test_on_session_routes_a_key_that_is_not_good_is_refused(
    gateway: Running, llm_api: LlmApi, key: str
) -> None:
    for method, path in (("GET", "/auth/me"), ("POST", "/auth/guest-login")):
        reply = await gateway.ask(method, path, headers={"X-API-Key": key})
        refused(reply, "Invalid API key", "invalid_api_key")
    assert llm_api.asked == 0


async def test_on_session_routes_a_token_speaks_for_itself(
    gateway: Running, llm_api: LlmApi, realm: Realm
) -> None:
    # A refresh token may stand there too: only the service knows which it wants.
    for headers in (realm.bearer(), {**realm.bearer(), "X-API-Key": GOOD_KEY}):
        assert (await gateway.ask("POST", "/auth/refresh-token", headers=headers)).status == 200
        assert "x-jan-identity" not in llm_api.headers
        assert llm_api.headers["authorization"] == headers["Authorization"]
        assert GOOD_KEY not in str(llm_api.last)
    both = {**realm.bearer(), "X-API-Key": "sk_unknown"}
    refused(await gateway.ask("GET", "/auth/me", headers=both), "Invalid API key", "invalid_api_key")


async def test_a_token_and_a_key_must_both_hold_and_speak_for_the_same_person(
    gateway: Running, llm_api: LlmApi, realm: Realm
) -> None:
    both = {**realm.bearer(sub="USER-1"), "X-API-Key": GOOD_KEY}
    assert (await gateway.ask("GET", "/v1/models", headers=both)).status == 200
    principal = identity_of(llm_api)
    assert (principal.method, principal.subject, principal.user_id) == ("jwt", "USER-1", "7")
    assert "authorization" in llm_api.headers

    conflict = ("conflicting credentials", "conflicting_credentials")
    other = {**realm.bearer(), "X-API-Key": OTHER_KEY}
    refused(await gateway.ask("GET", "/v1/models", headers=other), *conflict)
    two_keys = {"X-API-Key": GOOD_KEY, "apikey": OTHER_KEY}
    refused(await gateway.ask("GET", "/v1/models", headers=two_keys), *conflict)

    bad_token = {**realm.bearer(exp=1), "X-API-Key": GOOD_KEY}
    refused(await gateway.ask("GET", "/v1/models", headers=bad_token), "token expired", "token_expired")
    bad_key = {**realm.bearer(), "X-API-Key": "sk_unknown"}
    refused(await gateway.ask("GET", "/v1/models", headers=bad_key), "Invalid API key", "invalid_api_key")


@pytest.mark.parametrize(
    ("failing", "status", "message"),
    [
        ((500, b"oops"), 503, "API key validation service unavailable"),
        ((200, b"not json"), 502, "Invalid validation response"),
        ((200, b"{}"), 502, "Invalid validation response"),
    ],
)
async def test_a_validator_that_fails_is_not_the_callers_fault(
    gateway: Running, llm_api: LlmApi, failing: tuple[int, bytes], status: int, message: str
) -> None:
    llm_api.failing = failing
    reply = await gateway.get("/v1/models", X_API_Key=GOOD_KEY)
    assert (reply.status, reply.json["message"]) == (status, message)


async def test_a_validator_that_does_not_run_is_a_503(realm: Realm, client: aiohttp.ClientSession) -> None:
    async with platform(realm, client, {}) as gateway:
        reply = await gateway.get("/v1/models", X_API_Key=GOOD_KEY)
        assert (reply.status, reply.json["message"]) == (503, "API key validation service unavailable")


async def test_preflight_and_options_need_no_credential(gateway: Running) -> None:
    assert (await gateway.ask("OPTIONS", "/v1/models")).status == 200


async def test_a_rotated_key_is_followed_and_the_old_one_no_longer_opens(
    client: aiohttp.ClientSession, llm_api: LlmApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Normally the next fetch is some seconds away, so that invented key ids are no flood of requests.
    monkeypatch.setattr("jan_server.authentication.jwks.UNKNOWN_KEY_PAUSE_SECONDS", 0.0)
    realm = Realm()
    async with platform(realm, client, {"llm-api": llm_api}) as gateway:
        assert (await gateway.ask("GET", "/v1/models", headers=realm.bearer())).status == 200
        old_key, old_kid = realm.key, realm.kid
        realm.rotate()
        assert (await gateway.ask("GET", "/v1/models", headers=realm.bearer())).status == 200
        late = jwt.encode(realm.claims(sub="late"), old_key, algorithm="RS256", headers={"kid": old_kid})
        assert (await gateway.get("/v1/models", Authorization=f"Bearer {late}")).status == 401


async def test_a_token_known_already_is_refused_once_its_key_is_withdrawn(
    client: aiohttp.ClientSession, llm_api: LlmApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jan_server.authentication.jwks.UNKNOWN_KEY_PAUSE_SECONDS", 0.0)
    realm = Realm()
    async with platform(realm, client, {"llm-api": llm_api}, rate_limits_enabled=False) as gateway:
        known = realm.bearer()
        assert (await gateway.ask("GET", "/v1/models", headers=known)).status == 200
        realm.rotate()
        assert (await gateway.ask("GET", "/v1/models", headers=realm.bearer())).status == 200
        reply = await gateway.ask("GET", "/v1/models", headers=known)
        refused(reply, "invalid token: its signing key is unknown", "invalid_token")


async def test_before_the_issuer_is_up_the_files_own_key_verifies(llm_api: LlmApi, start: Start) -> None:
    realm = Realm()
    text = render(settings_for(realm, f"http://127.0.0.1:{free_port()}/certs"))
    gateway = await start(text, {"llm-api": llm_api})
    assert (await gateway.ask("GET", "/v1/models", headers=realm.bearer())).status == 200
    stranger = Realm(realm.issuer)
    assert (await gateway.ask("GET", "/v1/models", headers=stranger.bearer())).status == 401


async def test_an_anonymous_consumer_is_only_there_when_the_file_asks_for_it(
    start: Start, llm_api: LlmApi, realm: Realm
) -> None:
    key = orjson.dumps(realm.public_pem).decode()
    gateway = await start(
        f"""
        _format_version: "3.0"
        consumers:
          - username: kong-anon-jwt
            custom_id: anon-jwt
            plugins:
              - {{name: request-termination, service: closed, config: {{status_code: 401}}}}
          - username: keycloak-issuer
            jwt_secrets: [{{key: "{realm.issuer}", algorithm: RS256, rsa_public_key: {key}}}]
        services:
          - {{name: open, host: llm-api, routes: [{{name: open, paths: [/open]}}]}}
          - {{name: closed, host: llm-api, routes: [{{name: closed, paths: [/closed]}}]}}
        plugins:
          - {{name: jwt, config: {{anonymous: kong-anon-jwt, run_on_preflight: false}}}}
          - {{name: keycloak-apikey, config: {{validation_url: "http://llm-api/auth/validate-api-key"}}}}
        """,
        {"llm-api": llm_api},
    )
    assert (await gateway.get("/open")).status == 200
    assert llm_api.headers["x-anonymous-consumer"] == "true"
    assert llm_api.headers["x-consumer-username"] == "kong-anon-jwt"
    assert "x-jan-identity" not in llm_api.headers
    assert (await gateway.get("/closed")).status == 401

    assert (await gateway.ask("GET", "/closed", headers=realm.bearer())).status == 200
    assert identity_of(llm_api).subject == "user-1"
    assert "x-anonymous-consumer" not in llm_api.headers

    assert (await gateway.get("/closed", X_API_Key=GOOD_KEY)).status == 200
    assert identity_of(llm_api).method == "apikey"
    assert "x-anonymous-consumer" not in llm_api.headers

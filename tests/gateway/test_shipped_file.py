"""The file that ships, rendered from settings: its routes, its limits and what it says of absent services."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
import yaml

from jan_server.gateway.app import create_app
from jan_server.gateway.fields import KongFileError
from jan_server.gateway.gateway import Gateway
from jan_server.gateway.router import Router
from jan_server.gateway.shipped_file import gateway_file, render
from jan_server.http.context import ServiceContext
from jan_server.settings.tree import Settings
from tests.gateway.platform import GOOD_KEY, LlmApi, platform, settings_for
from tests.gateway.realm import Realm

ROUTES = [
    ("POST", "/v1/chat/completions", "llm-api", "/v1/chat/completions"),
    ("GET", "/v1/models/vendor%2Fname", "llm-api", "/v1/models/vendor%2Fname"),
    ("GET", "/llm/v1/models", "llm-api", "/v1/models"),
    ("POST", "/llm/v1/admin/users", "llm-api", "/v1/admin/users"),
    ("POST", "/auth/guest-login", "llm-api", "/auth/guest-login"),
    ("POST", "/llm/auth/guest-login", "llm-api", "/llm/auth/guest-login"),
    ("DELETE", "/auth/api-keys/1", "llm-api", "/auth/api-keys/1"),
    ("GET", "/", "llm-api", "/"),
    ("HEAD", "/", "llm-api", "/"),
    ("GET", "/healthz", "llm-api", "/healthz"),
    ("GET", "/llm/healthz", "llm-api", "/healthz"),
    ("GET", "/api/swagger/doc.json", "llm-api", "/api/swagger/doc.json"),
    ("GET", "/v1/public/shares/abc", "llm-api", "/v1/public/shares/abc"),
    ("GET", "/llm/v1/mcp-tools/google_search", "llm-api", "/v1/mcp-tools/google_search"),
    ("GET", "/llm/v1/prompt-templates/a%2Fb", "llm-api", "/v1/prompt-templates/a%2Fb"),
    ("POST", "/v1/mcp-tools", "llm-api", "/v1/mcp-tools"),
    ("GET", "/api/media/jan_1", "media-api", "/api/media/jan_1"),
    ("POST", "/media/v1/media", "media-api", "/v1/media"),
    ("GET", "/media/readyz", "media-api", "/readyz"),
    ("POST", "/v1/realtime/sessions", "realtime-api", "/v1/realtime/sessions"),
    ("POST", "/responses/v1/responses", "response-api", "/v1/responses"),
    ("GET", "/responses/healthz", "response-api", "/healthz"),
    ("POST", "/v1/responses", "response-api", "/v1/responses"),
    ("GET", "/v1/responses/resp_1", "response-api", "/v1/responses/resp_1"),
    ("POST", "/mcp", "mcp-tools", "/v1/mcp"),
    ("POST", "/v1/mcp", "mcp-tools", "/v1/mcp"),
    ("GET", "/mcp/healthz", "mcp-tools", "/healthz"),
    ("POST", "/memory/v1/memory/load", "memory-tools", "/v1/memory/load"),
    ("GET", "/realms/jan", "identity", "/realms/jan"),
    ("POST", "/realms/jan/protocol/openid-connect/token", "identity", None),
    ("POST", "/auth/realms/jan/protocol/openid-connect/token", "identity", None),
]
NOT_ROUTED = [
    ("POST", "/"),
    ("GET", "/index.html"),
    ("GET", "//x"),
    ("GET", "/realms/master"),
    ("GET", "/realms/janitor"),
    ("GET", "/admin/realms/jan/users"),
    ("DELETE", "/healthz"),
    ("GET", "/mcp"),
    ("PUT", "/auth/login"),
    ("GET", "/realms/jan/../master"),
]


@pytest.fixture(scope="module")
async def everything(realm: Realm, client: aiohttp.ClientSession) -> Any:
    """The shipped gateway, with every service inside the process."""
    services = (
        "llm-api",
        "media-api",
        "realtime-api",
        "response-api",
        "mcp-tools",
        "memory-tools",
        "identity",
    )
    apps = {name: LlmApi() for name in services}
    async with platform(realm, client, apps, rate_limits_enabled=False) as running:
        yield running, apps


@pytest.mark.parametrize(("method", "path", "service", "upstream_path"), ROUTES)
async def test_a_path_reaches_its_service(
    everything: Any, realm: Realm, method: str, path: str, service: str, upstream_path: str | None
) -> None:
    gateway, apps = everything
    before = {name: app.asked for name, app in apps.items()}
    reply = await gateway.ask(method, path, headers=realm.bearer())
    assert reply.status == 200
    assert [name for name, app in apps.items() if app.asked > before[name]] == [service]
    expected = upstream_path or "/realms/jan/protocol/openid-connect/token"
    assert apps[service].last["raw_path"] == expected
    assert apps[service].headers["x-gateway-auth"] == "kong"
    assert apps[service].headers["x-gateway-version"] == "3.5"
    assert reply.headers["X-Request-Id"] == apps[service].headers["x-request-id"]


@pytest.mark.parametrize(("method", "path"), NOT_ROUTED)
async def test_what_has_no_route_is_a_404(everything: Any, realm: Realm, method: str, path: str) -> None:
    gateway, _ = everything
    assert (await gateway.ask(method, path, headers=realm.bearer())).status == 404


@pytest.mark.parametrize(
    ("path", "service"),
    [("/media/v1/media", "media-api"), ("/v1/responses", "response-api"), ("/api/media/x", "media-api")],
)
async def test_a_service_that_is_not_part_of_the_stack_is_named(
    realm: Realm, client: aiohttp.ClientSession, path: str, service: str
) -> None:
    async with platform(realm, client, {"llm-api": LlmApi()}) as gateway:
        reply = await gateway.ask("GET", path, headers=realm.bearer())
        assert (reply.status, reply.json["message"]) == (503, f"the service {service} is not running")
        assert reply.json["error"]["type"] == "service_unavailable_error"


async def test_limits_are_those_of_the_contract_and_of_the_settings(
    realm: Realm, client: aiohttp.ClientSession
) -> None:
    async with platform(realm, client, {"llm-api": LlmApi()}) as gateway:
        v1 = await gateway.ask("GET", "/v1/models", headers=realm.bearer())
        assert v1.headers["X-RateLimit-Limit-Minute"] == "120"
        assert "X-RateLimit-Limit-Hour" not in v1.headers
        auth = await gateway.get("/auth/login")
        assert (auth.headers["X-RateLimit-Limit-Minute"], auth.headers["X-RateLimit-Limit-Hour"]) == (
            "600",
            "10000",
        )
    changed = {"llm_api_v1": {"minute": 2}, "llm_api_proxy": {"minute": 0}}
    async with platform(realm, client, {"llm-api": LlmApi()}, rate_limits=changed) as gateway:
        statuses = [(await gateway.ask("GET", "/v1/models", headers=realm.bearer())).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        off = await gateway.ask("GET", "/llm/v1/models", headers=realm.bearer())
        assert not [name for name in off.headers if "ratelimit" in name.lower()]
    async with platform(realm, client, {"llm-api": LlmApi()}, rate_limits_enabled=False) as gateway:
        assert not [
            name for name in (await gateway.get("/auth/login")).headers if "ratelimit" in name.lower()
        ]


async def test_on_llm_every_person_has_a_limit_of_their_own(
    realm: Realm, client: aiohttp.ClientSession
) -> None:
    limits = {"llm_api_proxy": {"minute": 1}}
    async with platform(realm, client, {"llm-api": LlmApi()}, rate_limits=limits) as gateway:
        credentials = [realm.bearer(), realm.bearer(sub="bob"), {"X-API-Key": GOOD_KEY}]
        statuses = [(await gateway.ask("GET", "/llm/v1/models", headers=each)).status for each in credentials]
        # The key is a key of the first token's person.
        assert statuses == [200, 200, 429]


async def test_the_body_limit_is_a_setting(realm: Realm, client: aiohttp.ClientSession) -> None:
    async with platform(realm, client, {"llm-api": LlmApi()}, request_size_limit_mb=1) as gateway:
        headers = realm.bearer()
        assert (await gateway.ask("POST", "/v1/x", headers=headers, data=b"x" * 2**20)).status == 200
        assert (await gateway.ask("POST", "/v1/x", headers=headers, data=b"x" * (2**20 + 1))).status == 413


@pytest.mark.parametrize(
    ("path", "origin", "allowed", "credentials"),
    [
        ("/v1/models", "http://localhost:3000", "http://localhost:3000", "true"),
        ("/v1/models", "https://chat.jan.ai", "https://chat.jan.ai", "true"),
        ("/v1/models", "https://evil.example", None, None),
        ("/v1/public/shares/x", "https://any.example", "*", None),
        ("/api/media/x", "https://any.example", "*", None),
        ("/healthz", "https://any.example", "*", None),
    ],
)
async def test_pages_of_listed_origins_may_call(
    everything: Any, path: str, origin: str, allowed: str | None, credentials: str | None
) -> None:
    gateway, _ = everything
    reply = await gateway.get(path, Origin=origin)
    assert reply.headers.get("Access-Control-Allow-Origin") == allowed
    assert reply.headers.get("Access-Control-Allow-Credentials") == credentials


async def test_every_origin_may_be_let_in_but_without_credentials(
    realm: Realm, client: aiohttp.ClientSession
) -> None:
    async with platform(realm, client, {"llm-api": LlmApi()}, cors_origins=["*"]) as gateway:
        reply = await gateway.get("/v1/models", Origin="https://any.example")
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_a_preflight_of_the_chat_is_answered(everything: Any) -> None:
    gateway, _ = everything
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    reply = await gateway.ask("OPTIONS", "/v1/chat/completions", headers=headers)
    assert reply.status == 200
    assert "X-API-Key" in reply.headers["Access-Control-Allow-Headers"].split(",")
    assert reply.headers["Access-Control-Allow-Methods"] == "GET,POST,PUT,PATCH,DELETE,OPTIONS"
    assert reply.headers["Access-Control-Max-Age"] == "3600"


STAINLESS = (
    "x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,"
    "x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout"
)
OPENAI = f"authorization,content-type,openai-organization,openai-project,user-agent,{STAINLESS}"
ANTHROPIC = (
    "anthropic-dangerous-direct-browser-access,anthropic-version,content-type,user-agent,x-api-key,"
    + STAINLESS
)


@pytest.mark.parametrize("mount", ["", "/llm"])
@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("POST", "/v1/chat/completions", OPENAI),
        ("POST", "/v1/chat/completions", f"{OPENAI},x-stainless-helper-method"),
        ("POST", "/v1/embeddings", OPENAI),
        ("POST", "/v1/conversations", f"idempotency-key,openai-beta,{OPENAI}"),
        ("POST", "/v1/responses", f"{OPENAI},x-stainless-poll-helper,x-stainless-custom-poll-interval"),
        ("GET", "/v1/models", OPENAI),
        ("GET", "/v1/models", ANTHROPIC),
        ("POST", "/v1/messages", f"anthropic-beta,{ANTHROPIC},x-stainless-helper"),
        ("POST", "/v1/messages", ANTHROPIC.replace("x-api-key", "authorization")),
        ("POST", "/v1/messages/count_tokens", ANTHROPIC),
        ("GET", "/v1/models", "authorization,x-provider-data"),
        ("POST", "/v1/chat/completions", "authorization,content-type,x-prompt-memory,x-prompt-persona"),
    ],
)
async def test_the_official_clients_may_call_from_a_browser(
    everything: Any, mount: str, method: str, path: str, asked: str
) -> None:
    """Their preflight, as Firefox sends it: small letters, sorted, `user-agent` included."""
    gateway, _ = everything
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(sorted(asked.split(","))),
    }
    reply = await gateway.ask("OPTIONS", mount + path, headers=headers)
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert method in reply.headers["Access-Control-Allow-Methods"].split(",")
    allowed = reply.headers["Access-Control-Allow-Headers"].lower().split(",")
    assert set(asked.split(",")) <= set(allowed)


async def test_pages_may_read_what_an_answer_tells_in_headers(everything: Any) -> None:
    gateway, _ = everything
    headers = {"Origin": "http://localhost:3000", "X-API-Key": GOOD_KEY}
    for path in ("/v1/models", "/llm/v1/models"):
        reply = await gateway.get(path, **headers)
        exposed = reply.headers["Access-Control-Expose-Headers"].split(",")
        assert {
            "X-Request-Id",
            "X-Gateway-Auth",
            "X-Conversation-Id",
            "X-Old-Main-Backup",
            "Retry-After",
        } <= set(exposed)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/llm/metrics",
        "/llm/metrics/",
        "/llm//metrics",
        "/llm/./metrics",
        "/llm/%6Detrics",
        "/llm%2Fmetrics",
        "/llm/%2Fmetrics",
        "/llmmetrics",
        "/llm/llm/metrics",
        "/llm%2Fllm%2Fmetrics",
        "/llm/metrics?x=1",
    ],
)
async def test_nobody_reads_metrics_here(everything: Any, path: str) -> None:
    gateway, apps = everything
    before = apps["llm-api"].asked
    for method in ("GET", "HEAD", "POST"):
        reply = await gateway.ask(method, path, headers={"X-API-Key": GOOD_KEY})
        assert reply.status in (404, 400), (method, path, reply.status)
    assert apps["llm-api"].asked == before


def test_streams_last_as_long_as_the_settings_say(realm: Realm) -> None:
    settings = Settings.model_validate({"services": {"llm_api": {"stream_timeout": "20m"}}})
    services = gateway_file(settings).services
    assert services["llm-api-svc"].read_seconds == 1200
    assert services["response-api-svc"].read_seconds == 900


def test_the_rendered_file_is_yaml_that_names_the_realms_own_key(realm: Realm) -> None:
    text = render(settings_for(realm, "http://127.0.0.1:1/certs", redis_url="rediss://me:secret@r.example/3"))
    document = yaml.safe_load(text)
    credential = document["consumers"][0]["jwt_secrets"][0]
    assert credential["rsa_public_key"] == realm.public_pem
    assert credential["key"] == realm.issuer
    limit = next(each["config"] for each in document["plugins"] if each["name"] == "rate-limiting")
    assert (limit["policy"], limit["redis_host"], limit["redis_database"]) == ("redis", "r.example", 3)
    assert (limit["redis_ssl"], limit["redis_username"]) == (True, "me")


def test_with_a_keycloak_its_own_address_is_routed(realm: Realm) -> None:
    settings = Settings.model_validate(
        {
            "identity": {"mode": "keycloak"},
            "infrastructure": {
                "auth": {"keycloak": {"base_url": "https://id.example/auth", "realm": "my realm"}},
            },
        }
    )
    file = gateway_file(settings)
    match = Router(file.routes, file.services).match("GET", b"/auth/realms/my%20realm/x")
    assert match is not None
    assert match.service is not None
    assert (match.service.host, match.service.port, match.service.protocol) == ("id.example", 443, "https")
    assert match.upstream_path == "/auth/realms/my%20realm/x"
    plain = Router(file.routes, file.services).match("GET", b"/realms/my%20realm/x")
    assert plain is not None
    assert plain.upstream_path == "/auth/realms/my%20realm/x"
    assert file.jwt_credentials[0].public_key == ""


def test_another_file_may_be_named(tmp_path: Any) -> None:
    path = tmp_path / "kong.yml"
    path.write_text('_format_version: "3.0"\nservices: [{name: mine, host: h}]\n')
    settings = Settings.model_validate({"infrastructure": {"gateway": {"kong_file": str(path)}}})
    assert list(gateway_file(settings).services) == ["mine"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity": {"signing_key": "nonsense"}}, "JAN_REALM_SIGNING_KEY"),
        (
            {"infrastructure": {"gateway": {"rate_limits": {"llm_api_v1": {"minute": 5, "hour": 1}}}}},
            "infrastructure.gateway.rate_limits.llm_api_v1.hour",
        ),
        (
            {"infrastructure": {"gateway": {"kong_file": "/nowhere/kong.yml"}}},
            "/nowhere/kong.yml cannot be read",
        ),
    ],
)
def test_a_setting_that_cannot_be_executed_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(KongFileError, match=words):
        gateway_file(Settings.model_validate(changes))


async def test_without_its_secret_the_gateway_does_not_start(
    client: aiohttp.ClientSession, tmp_path: Any
) -> None:
    context = ServiceContext(settings=Settings(), home=tmp_path, database_url="", client=client)
    with pytest.raises(ValueError, match="jan quickstart"):
        create_app(context)


async def test_status_says_what_there_is(everything: Any) -> None:
    gateway: Gateway = everything[0].gateway
    status = gateway.status()
    assert status["status"] == "ok"
    assert status["routes"] == len(gateway.file.routes) > 20
    assert status["open_requests"] == 0

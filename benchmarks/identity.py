"""What identity costs: verifying a token, and a cheap request while fifty people log in at once.

Tokens are verified by the platform's own verifier in this process, with a key of 2048 bits. For the
log-ins the whole stack runs: one connection asks for the version through the gateway, fifty others log
in by password there, each again as soon as it is in; server and hashing share one core.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from statistics import median
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from benchmarks.load import Round, form_request, get_request, run_round
from benchmarks.platform import Servers
from benchmarks.startup import Figure
from jan_server.authentication.principal import principal_from_token
from jan_server.authentication.verifier import TokenRules, TokenVerifier

TOKENS = "/auth/realms/jan/protocol/openid-connect/token"
CHEAP = "/v1/version"
LOGINS = 50
FIRST_SIGHTS = 300
REPEATS = 20_000
ISSUER = "http://localhost:8085/realms/jan"


async def measure(servers: Servers, *, seconds: float) -> list[Figure]:
    """Both figures of tokens, then a cheap request alone and beside log-ins, `seconds` each."""
    return [*await _tokens(), *await _beside_log_ins(servers, seconds)]


async def _tokens() -> list[Figure]:
    key = generate_private_key(65537, 2048)

    async def of_realm(kid: str) -> object:
        return key.public_key()

    verifier = TokenVerifier(of_realm, TokenRules((ISSUER,), "account", ("jan-client",)))
    first = []
    for token in [_token(key, number) for number in range(FIRST_SIGHTS)]:
        began = time.perf_counter()
        principal_from_token(await verifier.verify(token))
        first.append(time.perf_counter() - began)
    began = time.perf_counter()
    for _ in range(REPEATS):
        await verifier.verify(token)
    again = (time.perf_counter() - began) / REPEATS
    return [
        Figure("token at first sight", f"{median(first) * 1e6:.0f} µs", "<= 1,000 µs"),
        Figure("token once seen", f"{again * 1e6:.1f} µs", "<= 20 µs"),
    ]


def _token(key: RSAPrivateKey, number: int) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": f"user-{number}",
        "aud": "account",
        "azp": "jan-client",
        "typ": "Bearer",
        "iat": now,
        "exp": now + 3600,
        "preferred_username": "ann@example.org",
        "email": "ann@example.org",
        "realm_access": {"roles": ["default-roles-jan", "user"]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "groups": ["/standard"],
        "feature_flags": [],
        "scope": "openid profile email",
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "of the benchmark"})


async def _beside_log_ins(servers: Servers, seconds: float) -> list[Figure]:
    platform = servers.platform
    email, password = _new_user(servers)
    cheap = get_request(platform.gateway, CHEAP, token=platform.token)
    form = {"grant_type": "password", "client_id": "jan-client", "username": email, "password": password}
    log_in = form_request(platform.gateway, TOKENS, urlencode(form))

    async def ask(request: bytes, connections: int) -> Round:
        result = await run_round(platform.gateway, [request], connections=connections, seconds=seconds)
        if result.failures:
            raise RuntimeError(f"{result.failures} answers were not 200")
        return result

    await ask(cheap, 1)
    alone = await ask(cheap, 1)
    beside, log_ins = await asyncio.gather(ask(cheap, 1), ask(log_in, LOGINS))
    return [
        Figure("a cheap request alone: median, worst", _times(alone), ""),
        Figure(f"beside {LOGINS} log-ins at once: median, worst", _times(beside), ""),
        Figure("those log-ins", f"{log_ins.requests_per_second:.0f}/s, {_times(log_ins)}", ""),
    ]


def _times(result: Round) -> str:
    return f"{result.median_seconds * 1000:.1f} ms, {max(result.latencies) * 1000:.1f} ms"


def _new_user(servers: Servers) -> tuple[str, str]:
    """The address and the password of a registered user, made by upgrading a guest."""
    guest = servers.platform.post("/auth/guest-login")["access_token"]
    email, password = f"user-{secrets.token_hex(6)}@example.org", secrets.token_hex(16)
    servers.platform.post("/auth/upgrade", {"email": email, "password": password}, token=guest)
    return email, password

"""Combinations of settings that cannot work, and those that are worth a warning."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import timedelta

from pydantic import SecretStr

from jan_server.settings.errors import Problem
from jan_server.settings.tree import Settings
from jan_server.settings.tree.services.mcp_tools import McpTools

SMALLEST_SLOT = 256
"""Tokens that one request needs at the least."""

PRODUCTION_SECRET_LENGTH = 20
"""Characters of a secret in production (contract configuration.md, section 7)."""


def impossible(settings: Settings) -> list[Problem]:
    """List what cannot work together; each problem names the key to change."""
    return [
        *_inference(settings),
        *_search(settings.services.mcp_tools),
        *_media(settings),
        *_database(settings),
        *_api_keys(settings),
        *_ports(settings),
        *_production(settings),
    ]


def doubtful(settings: Settings) -> list[str]:
    """List what works and is probably not meant."""
    warnings = []
    if not settings.services.llm_api.admin_auth_enabled:
        warnings.append("services.llm_api.admin_auth_enabled is off: every caller may use /v1/admin")
    if not settings.infrastructure.gateway.rate_limits_enabled and _is_open(settings.server.listen_address):
        warnings.append(
            "infrastructure.gateway.rate_limits_enabled is off while the server listens beyond this machine"
        )
    if (
        settings.services.llm_api.prompt_orchestration.enable_memory
        and not settings.services.llm_api.memory.enabled
    ):
        warnings.append(
            "services.llm_api.prompt_orchestration.enable_memory does nothing while "
            "services.llm_api.memory.enabled is off"
        )
    return warnings


def _inference(settings: Settings) -> Iterator[Problem]:
    inference = settings.inference
    if inference.provider == "remote":
        if not inference.remote.url:
            yield Problem("inference.remote.url", "is needed, because inference.provider is remote")
        if not inference.remote.enabled:
            yield Problem("inference.remote.enabled", "cannot be off while inference.provider is remote")
    slots, size = inference.llamacpp.slots, inference.llamacpp.context_size
    if size // slots < SMALLEST_SLOT:
        yield Problem(
            "inference.llamacpp.context_size",
            f"{size} tokens for {slots} slots leave less than {SMALLEST_SLOT} for each request",
        )
    seen: set[str] = set()
    for provider in inference.providers:
        if provider.name in seen:
            yield Problem("inference.providers", f"the name {provider.name!r} stands there twice")
        seen.add(provider.name)
        if not provider.url and not provider.endpoints:
            yield Problem("inference.providers", f"{provider.name!r} needs a url or endpoints")


def _search(tools: McpTools) -> Iterator[Problem]:
    if tools.serper.offline_mode:
        return
    engines = (
        ("serper", tools.serper_enabled, tools.serper_api_key),
        ("exa", tools.exa_enabled, tools.exa_api_key),
        ("tavily", tools.tavily_enabled, tools.tavily_api_key),
    )
    for name, enabled, key in engines:
        if (enabled or tools.search_engine == name) and not _given(key):
            reason = f"{name}_enabled is on" if enabled else f"search_engine is {name}"
            yield Problem(
                f"services.mcp_tools.{name}_api_key", f"is needed, because services.mcp_tools.{reason}"
            )
    if (tools.searxng_enabled or tools.search_engine == "searxng") and not tools.searxng_url:
        yield Problem("services.mcp_tools.searxng_url", "is needed, because SearXNG is used")


def _media(settings: Settings) -> Iterator[Problem]:
    media = settings.services.media_api
    if not media.enabled or media.storage_backend != "s3":
        return
    reason = "because services.media_api.storage_backend is s3"
    for name in ("endpoint", "bucket"):
        if not getattr(media.s3, name):
            yield Problem(f"services.media_api.s3.{name}", f"is needed, {reason}")
    for name in ("access_key", "secret_key"):
        if not _given(getattr(media.s3, name)):
            yield Problem(f"services.media_api.s3.{name}", f"is needed, {reason}")


def _database(settings: Settings) -> Iterator[Problem]:
    database = settings.infrastructure.database
    for name, url in (("url", database.url), ("read_url", database.read_url)):
        if _given(url) and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            yield Problem(f"infrastructure.database.{name}", "must begin with postgresql://")
    if database.postgres.max_idle_conns > database.postgres.max_open_conns:
        yield Problem(
            "infrastructure.database.postgres.max_idle_conns",
            "cannot be more than infrastructure.database.postgres.max_open_conns",
        )


def _api_keys(settings: Settings) -> Iterator[Problem]:
    policy = settings.services.llm_api.api_key
    if policy.default_ttl <= timedelta():
        yield Problem("services.llm_api.api_key.default_ttl", "must be more than 0s")
    if policy.default_ttl > policy.max_ttl:
        yield Problem(
            "services.llm_api.api_key.default_ttl", "cannot be longer than services.llm_api.api_key.max_ttl"
        )


def _ports(settings: Settings) -> Iterator[Problem]:
    """Compare the ports of what always runs; `jan up` compares those of everything that is chosen."""
    engine = {
        "builtin": ("inference.llamacpp.port", settings.inference.llamacpp.port),
        "vllm-gpu": ("inference.vllm.port", settings.inference.vllm.port),
        "vllm-cpu": ("inference.vllm.port", settings.inference.vllm.port),
    }.get(settings.inference.provider)
    ports = [
        ("infrastructure.gateway.kong.http_port", settings.infrastructure.gateway.kong.http_port),
        ("identity.http_port", settings.identity.http_port),
        ("services.llm_api.http_port", settings.services.llm_api.http_port),
        *([engine] if engine else []),
    ]
    taken: dict[int, str] = {}
    for key, port in ports:
        if port in taken:
            yield Problem(key, f"is {port}, and so is {taken[port]}; each needs a port of its own")
        taken[port] = key


def _production(settings: Settings) -> Iterator[Problem]:
    if settings.meta.environment.lower() != "production":
        return
    secrets = {
        "infrastructure.auth.keycloak.admin_password": settings.infrastructure.auth.keycloak.admin_password,
        "infrastructure.auth.keycloak.backend_client_secret": (
            settings.infrastructure.auth.keycloak.backend_client_secret
        ),
        "identity.application_admin_password": settings.identity.application_admin_password,
        "identity.header_secret": settings.identity.header_secret,
        "services.llm_api.model_provider_secret": settings.services.llm_api.model_provider_secret,
    }
    for key, secret in secrets.items():
        if _given(secret) and len(secret.get_secret_value()) < PRODUCTION_SECRET_LENGTH:
            yield Problem(key, f"needs at least {PRODUCTION_SECRET_LENGTH} characters in production")
    if not settings.services.llm_api.admin_auth_enabled:
        yield Problem("services.llm_api.admin_auth_enabled", "cannot be off in production")


def _given(secret: SecretStr) -> bool:
    return bool(secret.get_secret_value())


def _is_open(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address != "localhost"

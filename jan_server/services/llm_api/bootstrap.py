"""Providers at start, and routes of models: from the settings, and from the YAML file of the contract.

What settings and file describe is brought up to date at every start; providers that came by
the API are never touched (contract/llm-api.md, section 23).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from sqlalchemy import text

from jan_server.database.engine import Database
from jan_server.inference.engines import wordllama
from jan_server.inference.gguf import InvalidGgufError, read_header
from jan_server.inference.model_sources import find_model
from jan_server.inference.model_store import ModelMissingError, ModelStore
from jan_server.services.llm_api.model_ids import provider_kind
from jan_server.services.llm_api.model_routes import RouteSpec, check_unique, save_described_routes
from jan_server.services.llm_api.provider_secrets import ProviderSecrets
from jan_server.services.llm_api.providers import (
    AUTO_ENABLE,
    DESCRIPTION,
    SYNC_MODELS,
    TOOL_SUPPORT,
    ProviderSpec,
    Source,
    endpoint_list,
    retire_providers,
    save_provider,
)
from jan_server.services.llm_api.refusals import Invalid
from jan_server.settings.home import JanHome
from jan_server.settings.tree import Settings

logger = logging.getLogger("jan.llm-api.bootstrap")

ENGINE_NAME = "Built-in engine"
VLLM_NAME = "vLLM"
EMBEDDINGS_NAME = "Built-in embeddings"
REMOTE_NAME = "Remote provider"
IMAGE_NAME = "Image provider"

_SOURCES: tuple[Source, ...] = ("engine", "settings", "file")
_LOCK = 0x6A616E32
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class ProviderFileError(Exception):
    """The provider file cannot be used; the text names the file and the place."""


def engine_providers(settings: Settings, home: Path) -> list[ProviderSpec]:
    """The engines that this installation runs itself."""
    inference = settings.inference
    specs = []
    if inference.provider == "builtin":
        specs.append(
            ProviderSpec(
                name=ENGINE_NAME,
                kind="jan",
                endpoints=endpoint_list(f"http://127.0.0.1:{inference.llamacpp.port}/v1"),
                api_key=inference.llamacpp.api_key.get_secret_value(),
                source="engine",
                details={TOOL_SUPPORT: _text(_engine_knows_tools(settings, home))},
            )
        )
    if inference.provider.startswith("vllm") or inference.vllm.enabled:
        specs.append(
            ProviderSpec(
                name=VLLM_NAME,
                kind=provider_kind("vllm"),
                endpoints=endpoint_list(inference.vllm.url),
                api_key=inference.vllm.internal_key.get_secret_value(),
                source="engine",
                details={TOOL_SUPPORT: str(inference.vllm.tool_support).lower()},
            )
        )
    if inference.embeddings.builtin and wordllama.is_installed():
        specs.append(
            ProviderSpec(
                name=EMBEDDINGS_NAME,
                kind="jan",
                endpoints=(),
                category="embedding",
                source="engine",
                offered_models=(wordllama.MODEL,),
            )
        )
    return specs


def _engine_knows_tools(settings: Settings, home: Path) -> bool:
    """Whether the built-in engine's model knows tools; one that is not here yet counts as one without."""
    try:
        _, path = find_model(settings.inference.llamacpp.model, ModelStore(JanHome(home).models))
        return read_header(path).knows_tools
    except (ModelMissingError, InvalidGgufError):
        return False


def settings_providers(settings: Settings) -> list[ProviderSpec]:
    """The providers elsewhere that the settings name.

    Raises:
        Invalid: An address of `inference.providers` is not one.
    """
    inference = settings.inference
    specs = []
    if inference.remote.enabled and inference.remote.url:
        specs.append(
            ProviderSpec(
                name=REMOTE_NAME,
                kind=provider_kind("custom"),
                endpoints=endpoint_list(inference.remote.url),
                api_key=inference.remote.api_key.get_secret_value(),
                source="settings",
                offered_models=inference.remote.models,
                details={TOOL_SUPPORT: "true"},
            )
        )
    if inference.image.enabled and inference.image.url:
        specs.append(
            ProviderSpec(
                name=IMAGE_NAME,
                kind=provider_kind("z-image"),
                endpoints=endpoint_list(inference.image.url),
                api_key=inference.image.api_key.get_secret_value(),
                category="image",
                source="settings",
                default_image_generate=True,
                default_image_edit=True,
            )
        )
    for provider in inference.providers:
        if not provider.enable:
            continue
        urls = [{"url": entry.url, "weight": entry.weight} for entry in provider.endpoints]
        details = {name: _text(value) for name, value in provider.metadata.items()}
        details[AUTO_ENABLE] = _text(provider.auto_enable_new_models)
        details[SYNC_MODELS] = _text(provider.sync_models)
        if provider.description:
            details[DESCRIPTION] = provider.description
        specs.append(
            ProviderSpec(
                name=provider.name,
                kind=provider_kind(provider.type),
                endpoints=endpoint_list(urls or provider.url),
                api_key=provider.api_key.get_secret_value(),
                category=provider.category,
                source="settings",
                offered_models=provider.models,
                details=details,
                max_concurrent_requests=provider.max_concurrent_requests,
                max_queued_requests=provider.max_queued_requests,
                queue_timeout_seconds=provider.queue_timeout.total_seconds(),
            )
        )
    return specs


def settings_routes(settings: Settings) -> list[RouteSpec]:
    """The routes of models that the settings describe.

    Raises:
        Invalid: A name or a target is there twice, or a target is a route itself.
    """
    place = "services.llm_api.model_routes"
    specs = []
    described = settings.services.llm_api.model_routes
    names = [route.name for route in described]
    for index, route in enumerate(described):
        if route.name in names[:index]:
            raise Invalid(f"{place}[{index}]: there are two routes {route.name}", param=f"{place}[{index}]")
        targets = tuple(
            {
                "model": target.model,
                "provider_id": target.provider or None,
                "weight": target.weight,
                "priority": target.priority,
            }
            for target in route.targets
        )
        check_unique(targets, f"{place}[{index}].targets")
        specs.append(
            RouteSpec(
                name=route.name,
                targets=targets,
                description=route.description,
                fallback_on=tuple(dict.fromkeys(route.fallback_on)),
                active=route.active,
            )
        )
    return specs


def file_providers(path: Path, chosen_set: str, environment: Mapping[str, str]) -> list[ProviderSpec]:
    """The enabled providers of one set of the YAML file.

    Args:
        path: The file; `providers.<set>` holds a list.
        chosen_set: The set that is used.
        environment: Where `${NAME}` and `${NAME:-default}` find their values.

    Raises:
        ProviderFileError: The file cannot be read, lacks the set, or an entry is not usable.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as failure:
        raise ProviderFileError(f"{path}: {failure}") from failure
    sets = document.get("providers") if isinstance(document, dict) else None
    if not isinstance(sets, dict) or not isinstance(sets.get(chosen_set), list):
        raise ProviderFileError(f"{path}: there is no list providers.{chosen_set}")
    specs = []
    for index, entry in enumerate(sets[chosen_set]):
        place = f"{path}: providers.{chosen_set}[{index}]"
        if not isinstance(entry, dict) or not entry.get("name"):
            raise ProviderFileError(f"{place} needs a name")
        entry = _expanded(entry, environment)
        if not _yes(entry.get("enable", True)):
            continue
        try:
            specs.append(_file_provider(entry))
        except Invalid as failure:
            raise ProviderFileError(f"{place} ({entry['name']}): {failure.message}") from failure
    return specs


def _file_provider(entry: Mapping[str, Any]) -> ProviderSpec:
    details = {name: _text(value) for name, value in (entry.get("metadata") or {}).items()}
    if entry.get("description"):
        details[DESCRIPTION] = _text(entry["description"])
    for name in (AUTO_ENABLE, SYNC_MODELS):
        details.setdefault(name, _text(_yes(entry.get(name, True))))
    category = _text(entry.get("category") or "llm")
    return ProviderSpec(
        name=_text(entry["name"]),
        kind=provider_kind(_text(entry.get("type") or entry.get("vendor") or "custom")),
        endpoints=endpoint_list(entry.get("endpoints") or entry.get("url") or entry.get("base_url") or ""),
        api_key=_text(entry.get("api_key") or entry.get("key") or ""),
        category=category,
        source="file",
        active=_yes(entry.get("active", True)),
        details=details,
        default_image_generate=category == "image"
        and _yes(entry.get("default_provider_image_generate", True)),
        default_image_edit=category == "image" and _yes(entry.get("default_provider_image_edit", True)),
    )


def _expanded(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: environment.get(match[1]) or match[2] or "", value)
    if isinstance(value, dict):
        return {name: _expanded(entry, environment) for name, entry in value.items()}
    if isinstance(value, list):
        return [_expanded(entry, environment) for entry in value]
    return value


def _yes(value: Any) -> bool:
    return (
        value if isinstance(value, bool) else _text(value).strip().lower() in ("1", "t", "true", "yes", "on")
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def described_providers(settings: Settings, home: Path) -> list[ProviderSpec]:
    """Every provider that settings and file describe.

    Raises:
        ProviderFileError: The provider file is named but not usable.
        Invalid: A provider of the settings is not usable.
    """
    specs = engine_providers(settings, home) + settings_providers(settings)
    own = settings.services.llm_api
    if own.provider_configs_enabled and own.provider_config_file:
        environment = {name: value for name, value in dotenv_values(home / ".env").items() if value}
        environment.update(os.environ)
        path = home / Path(own.provider_config_file).expanduser()
        specs += file_providers(path, own.provider_config_set, environment)
    return specs


async def bootstrap_providers(
    database: Database,
    specs: Sequence[ProviderSpec],
    secrets: ProviderSecrets,
    routes: Sequence[RouteSpec] = (),
) -> None:
    """Bring the database's providers, and its routes of models, to what settings and file describe."""
    async with database.session() as session:
        # Instances that start at the same moment take turns; the lock ends with the transaction.
        connection = await session.connection()
        await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        for spec in specs:
            await save_provider(session, spec, secrets)
        for source in _SOURCES:
            await retire_providers(session, source, (spec.name for spec in specs if spec.source == source))
        await save_described_routes(session, routes)
    logger.info("providers: %s", ", ".join(spec.name for spec in specs) or "none")

"""Providers: what one is made of, and how it is written down (contract/llm-api.md, sections 10.3 and 22)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.services.llm_api.provider_secrets import ProviderSecrets, key_hint
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.provider import Provider

Source = Literal["engine", "settings", "file", "api"]

AUTO_ENABLE = "auto_enable_new_models"
SYNC_MODELS = "sync_models"
TOOL_SUPPORT = "tool_support"
DESCRIPTION = "description"
CATEGORIES = ("llm", "image", "embedding")


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider as somebody asks for it.

    Attributes:
        name: Its name; unique among the providers of one source.
        kind: One of `model_ids.KINDS`.
        endpoints: Where it answers: url (up to and including /v1), weight, priority. None when it answers
            inside this process.
        api_key: Its key; empty or `none` sends none.
        category: What it answers.
        source: Who looks after it (see `tables.provider`).
        active: Whether it is used.
        offered_models: The models to offer, by the provider's own ids; empty offers all it lists.
        details: Jan's `metadata`: texts by name.
        max_concurrent_requests: How many requests it gets at a time from one process; None for any number.
        max_queued_requests: How many wait for a place at the most.
        queue_timeout_seconds: How long one of them waits.
    """

    name: str
    kind: str
    endpoints: tuple[dict[str, Any], ...]
    api_key: str = field(default="", repr=False)
    category: str = "llm"
    source: Source = "api"
    active: bool = True
    offered_models: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    default_image_generate: bool = False
    default_image_edit: bool = False
    max_concurrent_requests: int | None = None
    max_queued_requests: int = 100
    queue_timeout_seconds: float = 30.0


def endpoint_list(given: Any) -> tuple[dict[str, Any], ...]:
    """Endpoints from the forms in which they may be written.

    Args:
        given: A list of `{url, weight, priority}` or of URLs, one URL, a comma list of URLs, or a
            JSON list as text.

    Raises:
        Invalid: One of them is no address; `param` names it.
    """
    if isinstance(given, str):
        text = given.strip()
        if text.startswith("["):
            try:
                given = orjson.loads(text)
            except orjson.JSONDecodeError as failure:
                raise Invalid("endpoints is not a JSON list", param="endpoints") from failure
        else:
            given = [part.strip() for part in text.split(",") if part.strip()]
    if not isinstance(given, Sequence) or not given:
        raise Invalid("endpoints must name at least one address", param="endpoints")
    return tuple(_endpoint(index, entry) for index, entry in enumerate(given))


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _endpoint(index: int, entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        entry = {"url": entry}
    name = f"endpoints[{index}]"
    if not isinstance(entry, Mapping) or not isinstance(entry.get("url"), str):
        raise Invalid(f"{name} must be an object with a url", param=name)
    url = entry["url"].strip().rstrip("/")
    if not _is_address(url):
        raise Invalid(f"{name}.url must look like https://host/v1", param=f"{name}.url")
    numbers = {"weight": 1, "priority": 0}
    for member, default in numbers.items():
        value = entry.get(member, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Invalid(f"{name}.{member} must be a whole number", param=f"{name}.{member}")
        numbers[member] = value
    return {"url": url, **numbers}


def provider_object(row: Provider, healthy: Collection[str], *, with_addresses: bool) -> dict[str, Any]:
    """A provider as the API shows it; its key is never part of that.

    Args:
        row: The provider.
        healthy: The URLs of the endpoints that work, as far as is known.
        with_addresses: Whether its addresses and limits are shown; they are for administrators.
    """
    shown: dict[str, Any] = {
        "id": row.public_id,
        "name": row.display_name,
        "vendor": row.kind,
        "base_url": row.base_url if with_addresses else "",
        "active": row.active,
        "category": row.category,
        "default_provider_image_generate": row.default_provider_image_generate,
        "default_provider_image_edit": row.default_provider_image_edit,
    }
    if with_addresses:
        shown["endpoints"] = [
            {
                "url": entry["url"],
                "weight": entry.get("weight", 1),
                "priority": entry.get("priority", 0),
                "healthy": entry["url"] in healthy,
            }
            for entry in row.endpoints
        ]
        shown["max_concurrent_requests"] = row.max_concurrent_requests
        shown["max_queued_requests"] = row.max_queued_requests
        shown["queue_timeout_seconds"] = row.queue_timeout_seconds
        if row.details:
            shown["metadata"] = row.details
    return shown


def is_true(details: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Whether a text of a provider's metadata says yes."""
    value = details.get(name)
    return default if value is None else value.strip().lower() in ("1", "t", "true", "yes", "on")


async def save_provider(session: AsyncSession, spec: ProviderSpec, secrets: ProviderSecrets) -> Provider:
    """Write a provider that a setting or a file describes; one that was there is brought up to date.

    A provider that an administrator changed since (its source is then `api`) is left as it is.
    """
    taken_over = await _named(session, spec.name, ("api",))
    if spec.source == "file" and taken_over is not None:
        return taken_over
    row = await _named(session, spec.name, (spec.source,)) or Provider(
        display_name=spec.name, kind=spec.kind, source=spec.source
    )
    apply_spec(row, spec, secrets)
    session.add(row)
    await session.flush()
    return row


def apply_spec(row: Provider, spec: ProviderSpec, secrets: ProviderSecrets) -> None:
    """Bring a row to what `spec` says; an unchanged key keeps its stored form."""
    wanted: dict[str, Any] = {
        "display_name": spec.name,
        "kind": spec.kind,
        "category": spec.category,
        "source": spec.source,
        "base_url": spec.endpoints[0]["url"] if spec.endpoints else "",
        "endpoints": list(spec.endpoints),
        "active": spec.active,
        "offered_models": list(spec.offered_models),
        "details": dict(spec.details),
        "default_provider_image_generate": spec.default_image_generate,
        "default_provider_image_edit": spec.default_image_edit,
        "max_concurrent_requests": spec.max_concurrent_requests,
        "max_queued_requests": spec.max_queued_requests,
        "queue_timeout_seconds": spec.queue_timeout_seconds,
        "deleted_at": None,
    }
    for name, value in wanted.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
    if not secrets.holds(row.encrypted_api_key, spec.api_key):
        row.encrypted_api_key = secrets.encrypt(spec.api_key)
        row.api_key_hint = key_hint(spec.api_key)


async def retire_providers(session: AsyncSession, source: Source, kept: Iterable[str]) -> None:
    """Take out the providers of a source that nobody asks for any more; their history stays."""
    names = set(kept)
    query = select(Provider).where(Provider.source == source, col(Provider.deleted_at).is_(None))
    for row in await session.exec(query):
        if row.display_name not in names:
            row.active = False
            row.deleted_at = now()
            session.add(row)


async def _named(session: AsyncSession, name: str, sources: Sequence[str]) -> Provider | None:
    query = (
        select(Provider)
        .where(Provider.display_name == name, col(Provider.source).in_(sources))
        .order_by(col(Provider.id))
    )
    return (await session.exec(query)).first()
